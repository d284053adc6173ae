// The types of the emulator, written by hand. They say what a test may rely on; how it is done is in the
// JavaScript files beside them.

import type { KeyObject } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { SecureContextOptions } from "node:tls";

/** Which of Azure's hosts an endpoint plays. */
export type EmulatorSource =
  | "app-service"
  | "imds"
  | "azure-arc"
  | "cloud-shell"
  | "machine-learning"
  | "service-fabric"
  | "workload-identity";

/** The same hosts by the names that `getManagedIdentitySource()` and the command line have for them. */
export type EmulatorSourceName =
  | "AppService"
  | "Imds"
  | "DefaultToImds"
  | "AzureArc"
  | "CloudShell"
  | "MachineLearning"
  | "ServiceFabric"
  | "WorkloadIdentity";

/** Every source, in a fixed order; frozen. */
export const sources: readonly EmulatorSource[];

/** The three ids by which an identity can be named. Case is ignored when they are compared. */
export interface EmulatorIdentity {
  /** Client (application) id, a GUID; the token's `appid`. */
  readonly clientId: string;
  /** Object (principal) id, a GUID; the token's `oid` and `sub`. */
  readonly objectId: string;
  /** Azure resource id; the token's `xms_mirid`. */
  readonly resourceId: string;
}

/** The tenant of every default identity; the token's `tid`. */
export const tenantId: string;
/** The system-assigned identity that every endpoint has by default; frozen. */
export const systemAssignedIdentity: EmulatorIdentity;
/** The first of the two user-assigned identities that every endpoint has by default; frozen. */
export const userAssignedIdentity: EmulatorIdentity;
/** The second of them; frozen. */
export const otherUserAssignedIdentity: EmulatorIdentity;

/**
 * Real tokens for `EmulatorOptions.tokens`: those of the developer who is signed in to the Azure CLI, from
 * `az account get-access-token`. Whatever identity is asked for, the token is the developer's own.
 *
 * The az of PATH is started without a shell, once per resource at a time. A token is kept until five minutes
 * before it expires. When az fails, is missing, or takes too long, the client is answered with a 400 in
 * the host's own form, which holds az's words.
 *
 * Throws a `TypeError` when an option is wrong.
 */
export function azureCliTokens(options?: AzureCliOptions): TokenFunction;

export interface AzureCliOptions {
  /** The tenant that the tokens are for. Default: the one that az is signed in to. */
  tenantId?: string;
  /** How many milliseconds az may take, 1 or more. Default 60,000. */
  timeout?: number;
}

/**
 * Starts a managed identity endpoint on 127.0.0.1 and resolves once it listens. It never listens on
 * another interface, writes no log, and keeps the process alive until `close()`.
 *
 * The first endpoint of a process takes some 100 ms to make the key that signs tokens.
 *
 * Rejects with a `TypeError` when an option is wrong, and with the system's error when `port` is taken.
 */
export function startEmulator(options: EmulatorOptions): Promise<Emulator>;

export interface EmulatorOptions {
  /** Which host to play; case and dashes make no difference. */
  source: EmulatorSource | EmulatorSourceName;
  /** TCP port, 0 to 65,535. Default 0: one that is free. */
  port?: number;
  /** The user-assigned identities of the host. Default `userAssignedIdentity` and `otherUserAssignedIdentity`. */
  identities?: readonly EmulatorIdentity[];
  /**
   * Whether an id that nobody has is taken for one more user-assigned identity, whose other ids are derived from
   * it. Default false: it is refused, as the host does.
   */
  anyIdentity?: boolean;
  /** Called with each id that a request names and that nobody has, before it is refused. Default: nothing is called. */
  onUnknownIdentity?: (id: string) => void;
  /** `false`: the host has no identity of its own. An object replaces single ids of `systemAssignedIdentity`. */
  systemAssigned?: false | Partial<EmulatorIdentity>;
  /** The tenant, a GUID; with `tokens` it may be a domain name. Default `tenantId`. */
  tenantId?: string;
  /**
   * The resources that the tenant knows; another is refused (AADSTS500011; Cloud Shell: AudienceNotSupported).
   * One slash at the end, and case, make no difference. Default: every resource is known.
   */
  resources?: readonly string[];
  /** Lifetime of a token in seconds, 1 or more. Default 86,400 (24 hours, as IMDS). */
  lifetimeSeconds?: number;
  /** The wall clock by which tokens are dated, in milliseconds since 1970. Default `Date.now`. */
  clock?: () => number;
  /**
   * Where tokens come from, once the host has found nothing wrong with a request. Default: the endpoint signs
   * them itself.
   */
  tokens?: TokenFunction;
  /** The value of IDENTITY_HEADER or MSI_SECRET. Default: 32 random hex digits. */
  secret?: string;
  /**
   * Azure Arc: the directory of the key files, made if it is missing. `close()` removes the key files, and those
   * of the directories that were made for it and hold nothing else by then. Default: a fresh temporary directory,
   * removed by `close()`, whose files a client that obeys the rules does not read.
   */
  tokensDirectory?: string;
  /**
   * Whether the endpoint speaks https, with a certificate that it makes itself. Default: true for
   * "service-fabric" and "workload-identity", else false. Only for these two does `env` say whom to trust; for the
   * others write `certificate.pem` to a file, and name it in NODE_EXTRA_CA_CERTS.
   */
  secure?: boolean;
  /** How that certificate is made. Ignored without https. */
  certificate?: CertificateOptions;
  /** More options of the TLS server, such as `minVersion` and `maxVersion`. Ignored without https. */
  tls?: Omit<SecureContextOptions, "cert" | "key">;
}

/** What a `tokens` function is asked for. */
export interface TokenRequest {
  /** What the token is for, as the client sent it; for "workload-identity" without its "/.default". */
  readonly resource: string;
  /** Whose it is, by the ids that this host knows. */
  readonly identity: EmulatorIdentity;
  /** The client's capabilities (`xms_cc`; for "workload-identity" those in `claims`); [] without any. */
  readonly capabilities: readonly string[];
  /** The endpoint's tenant. */
  readonly tenantId: string;
  /** Aborted when the endpoint closes and nobody can be answered any more. */
  readonly signal: AbortSignal;
}

/** A token that the endpoint is to hand out. */
export interface GivenToken {
  /** Not empty; it need not be a JWT. */
  readonly accessToken: string;
  /** A Date or seconds since 1970. A fault's `expiresIn` and `expiresOn` replace it in the answer. */
  readonly expiresOn: Date | number;
}

/**
 * Gives the tokens of an endpoint. It is called for each request that is granted: nothing is cached for it.
 *
 * What it throws or rejects with becomes an error in the host's own form, with its message as the words and its
 * `status`, if that is a number from 300 to 599, else 500. A result that is no token is answered with a 500 and
 * the reason as text.
 */
export type TokenFunction = (request: TokenRequest) => GivenToken | Promise<GivenToken>;

/** A self-signed X.509 v3 certificate for a TLS server. */
export interface CertificateOptions {
  /** Common name of subject and issuer. Default "managed-identity-native emulator". */
  subject?: string;
  /** Kind of key; the signature is SHA-256 with it. Default "P-256". "RSA-2048" takes some 100 ms once per process. */
  key?: "P-256" | "RSA-2048";
  /** Start of validity, to the second. Default: a day ago by the system's clock. */
  notBefore?: Date;
  /** End of validity, to the second. Default: 30 days from now by the system's clock. */
  notAfter?: Date;
  /** DNS names and IPv4 addresses it is valid for. Default ["localhost", "127.0.0.1"]; [] leaves the extension out. */
  names?: readonly string[];
}

/** A certificate with its private key, for a TLS server of a test's own. */
export interface CertificateWithKey extends EmulatorCertificate {
  /** The private key, PKCS #8 in PEM. */
  readonly keyPem: string;
}

/**
 * Makes a self-signed certificate, such as a test's own TLS server needs.
 *
 * The certificates of one process with one kind of key, those of its endpoints included, share that key: with the same
 * `subject`, a client that trusts one of them trusts the others. A test that needs a certificate that is not trusted
 * gives it another `subject`.
 */
export declare function createCertificate(options?: CertificateOptions): Promise<CertificateWithKey>;

/** A running endpoint. */
export interface Emulator {
  /** The host it plays. */
  readonly source: EmulatorSource;
  /**
   * Exactly the variables by which a client finds this source, to be copied into its environment. A variable
   * of another source that is set there already may win over them.
   */
  readonly env: Readonly<Record<string, string>>;
  /** Scheme, address and port, without a slash at the end. */
  readonly origin: string;
  /** The token endpoint, without a query. */
  readonly url: string;
  /**
   * The key that verifies the signature (RS256) of every token that does not come from `tokens`; the same for all
   * endpoints of a process.
   */
  readonly publicKey: KeyObject;
  /** What the TLS server shows; undefined without https. */
  readonly certificate: EmulatorCertificate | undefined;
  /**
   * Every request that arrived, in order; the array grows. The discovery documents of "workload-identity"
   * (openid-configuration and keys) are answered without being recorded.
   */
  readonly requests: RecordedRequest[];

  /**
   * Scripts the answers to the next requests, one fault each, behind those that wait already. They are
   * assigned in the order in which requests arrive.
   *
   * Throws a `TypeError` when `drop` or `status` has no meaning.
   */
  next(faults: Fault | readonly Fault[]): void;
  /** The fault of every request for which `next` holds none, until another or null takes its place. */
  always(fault: Fault | null): void;
  /**
   * From now on requests are recorded but not answered, until the function that is returned is called.
   * With several holds all must be released. A second call of that function does nothing.
   */
  hold(): () => void;
  /**
   * Resolves when `count` requests have arrived since the start, held ones included; at once if they have.
   * Rejects when the endpoint closes before.
   */
  waitForRequests(count: number): Promise<void>;
  /**
   * "workload-identity" only: a service account's token as it stands in AZURE_FEDERATED_TOKEN_FILE, or one
   * that Entra refuses, to be written there. The other sources have no such function.
   */
  readonly issueAssertion: ((overrides?: AssertionOverrides) => string) | undefined;

  /**
   * Stops listening, closes every connection, also those with a request in flight, and removes the files it
   * made. Later calls return the first one's promise.
   */
  close(): Promise<void>;
  /** `close()`, for `await using`; absent before Node 20.4. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The certificate of the endpoint; it is its own authority. */
export interface EmulatorCertificate {
  /** PEM, for NODE_EXTRA_CA_CERTS or the `ca` of a TLS client. */
  readonly pem: string;
  /** DER. */
  readonly der: Buffer;
  /** SHA-1 of the DER, 40 upper-case hex digits, as in IDENTITY_SERVER_THUMBPRINT. */
  readonly thumbprint: string;
}

/** A request as it arrived. It holds the secrets that the client sent. */
export interface RecordedRequest {
  /** In upper case, such as "GET". */
  readonly method: string;
  /** The target before the "?", as sent. */
  readonly path: string;
  /** The decoded query; a parameter that is repeated is an array. */
  readonly query: Readonly<Record<string, string | string[]>>;
  /** The whole target as sent, with its percent-encoding. */
  readonly rawUrl: string;
  /** The headers; names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** The body as text; "" without one. */
  readonly body: string;
  /** The decoded body when its type is application/x-www-form-urlencoded, else undefined. */
  readonly form: Readonly<Record<string, string | string[]>> | undefined;
  /** The status that was answered; undefined until then, and when no whole header was sent. */
  readonly status: number | undefined;
}

/** A body to answer with: an object is sent as JSON, a string or a Buffer as it is. */
export type FaultBody = string | Buffer | object;

/**
 * What differs from the host's own answer. `{}` changes nothing. A request is recorded and judged by the host
 * all the same.
 */
export interface Fault {
  /**
   * 200 to 599. From 300 on and without `body`, the answer is an error in the host's own form, without the
   * headers of the host's normal answer (such as Azure Arc's challenge).
   */
  status?: number;
  /** Headers by name; one replaces the answer's own of that name in any case, undefined or null removes it. */
  headers?: Readonly<Record<string, string | readonly string[] | number | undefined | null>>;
  /**
   * The body, or a function that makes it from the host's own: the parsed object, or "" where the host sends
   * nothing. When the function throws, or a header is invalid, the answer is a 500 with the error as text.
   */
  // biome-ignore lint/suspicious/noExplicitAny: the answer is what the wire holds, and tests bend it freely
  body?: FaultBody | ((answer: any, request: RecordedRequest) => FaultBody);
  /** Milliseconds to wait before answering; the token is issued after them. Default 0. */
  delay?: number;
  /** Closes the connection before the answer, in the middle of its header, or in the middle of its body. */
  drop?: "before" | "headers" | "body";
  /** Closes it with a TCP reset instead of an orderly end; without `drop` that is before the answer. Default false. */
  reset?: boolean;
  /** Lifetime of this answer's token in seconds from now; 0 or less makes one that has expired. */
  expiresIn?: number;
  /** Expiry of this answer's token, a Date or seconds since 1970; wins over `expiresIn`. */
  expiresOn?: number | Date;
}

/** Parts of a service account's token that differ from the ones Entra trusts. */
export interface AssertionOverrides {
  /** `iss`; another is refused with AADSTS700211. */
  issuer?: string;
  /** `sub`; another is refused with AADSTS700213. */
  subject?: string;
  /** `aud`; another is refused with AADSTS700212. */
  audience?: string;
  /** Seconds from now; 0 or less is refused with AADSTS700024. Default 365 days. */
  expiresIn?: number;
}
