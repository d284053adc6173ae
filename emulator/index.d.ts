// The emulator's public API. This file is written by hand.

import type { KeyObject } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { SecureContextOptions } from "node:tls";

/** The managed identity source that an endpoint emulates. */
export type EmulatorSource =
  | "app-service"
  | "imds"
  | "azure-arc"
  | "cloud-shell"
  | "machine-learning"
  | "service-fabric"
  | "workload-identity";

/** The same sources by the names that `getManagedIdentitySource()` and the command line use. */
export type EmulatorSourceName =
  | "AppService"
  | "Imds"
  | "DefaultToImds"
  | "AzureArc"
  | "CloudShell"
  | "MachineLearning"
  | "ServiceFabric"
  | "WorkloadIdentity";

/** Every source, in a fixed order. The array is frozen. */
export const sources: readonly EmulatorSource[];

/** The three ids of an identity. They are compared without case. */
export interface EmulatorIdentity {
  /** Client (application) id, a GUID; the token's `appid`. */
  readonly clientId: string;
  /** Object (principal) id, a GUID; the token's `oid` and `sub`. */
  readonly objectId: string;
  /** Azure resource id; the token's `xms_mirid`. */
  readonly resourceId: string;
}

/** The tenant of the default identities; the token's `tid`. */
export const tenantId: string;
/** The system-assigned identity that every endpoint has by default. The object is frozen. */
export const systemAssignedIdentity: EmulatorIdentity;
/** The first of the two user-assigned identities that every endpoint has by default. The object is frozen. */
export const userAssignedIdentity: EmulatorIdentity;
/** The second of the two user-assigned identities that every endpoint has by default. The object is frozen. */
export const otherUserAssignedIdentity: EmulatorIdentity;

/**
 * Returns a function for `EmulatorOptions.tokens` that gets real tokens from the Azure CLI with
 * `az account get-access-token`. The tokens belong to the developer who is signed in, whatever identity a request names.
 *
 * The program `az` is looked up in PATH and started without a shell. At most one runs per resource. A token is cached
 * until five minutes before it expires. If az fails, is missing, or exceeds the timeout, the client receives status 400
 * with az's message in the source's own format.
 *
 * @throws {TypeError} If an option is invalid.
 */
export function azureCliTokens(options?: AzureCliOptions): TokenFunction;

/** Options of `azureCliTokens`. */
export interface AzureCliOptions {
  /** The tenant of the tokens, a GUID or a domain name. Default: the tenant to which az is signed in. */
  tenantId?: string;
  /** Timeout of one run of az, in milliseconds, 1 or more. Default 60,000. */
  timeout?: number;
}

/**
 * Starts a managed identity endpoint and resolves once it listens. It writes no log, and keeps the process alive until
 * `close()`.
 *
 * Web pages cannot get a token: a request is refused with status 403, and not recorded, if it has an `Origin` header, or
 * a `Host` header other than `127.0.0.1`, `localhost` and `[::1]` with the endpoint's port, the address in `host`, and the
 * names in `allowedHosts`.
 *
 * The first endpoint of a process needs about 100 ms to generate the key that signs tokens.
 *
 * @throws {TypeError} If an option is invalid (the promise rejects).
 * @throws {Error} With the code `EADDRINUSE` if `port` is in use (the promise rejects).
 */
export function startEmulator(options: EmulatorOptions): Promise<Emulator>;

/** Options of `startEmulator`. */
export interface EmulatorOptions {
  /** The source to emulate. Case and dashes are ignored. */
  source: EmulatorSource | EmulatorSourceName;
  /**
   * The address to listen on: an IP address or `localhost`. Default 127.0.0.1, which other machines and containers cannot
   * reach; 0.0.0.0 is every interface. With tokens of `azureCliTokens`, which are real, any other than a loopback address
   * requires a source that has a secret ("app-service", "machine-learning", "service-fabric") and the option `secret`,
   * with 16 or more characters.
   */
  host?: string;
  /** TCP port, 0 to 65,535. Default 0: a free port. */
  port?: number;
  /**
   * Further host names under which clients contact the endpoint, such as the name of its container: the values of the
   * `Host` header that are accepted. A name without a port is accepted with every port. The endpoint's own certificate is
   * also for these names. Case is ignored. Default: none.
   */
  allowedHosts?: readonly string[];
  /** The user-assigned identities. Default `userAssignedIdentity` and `otherUserAssignedIdentity`. */
  identities?: readonly EmulatorIdentity[];
  /**
   * Whether an unknown id selects a further user-assigned identity, whose other ids are derived from it. Default false:
   * an unknown id is rejected, as the real source does.
   */
  anyIdentity?: boolean;
  /** Called with each unknown id in a request, before the request is rejected. Default: no function. */
  onUnknownIdentity?: (id: string) => void;
  /**
   * Called when a request is refused because of its `Host` or `Origin` header, or because it has another secret than the
   * endpoint's or none. The reason is a sentence in English without the secret. Default: no function.
   */
  onRefusal?: (reason: string) => void;
  /** `false`: there is no system-assigned identity. An object replaces single ids of `systemAssignedIdentity`. */
  systemAssigned?: false | Partial<EmulatorIdentity>;
  /** The tenant, a GUID; with `tokens` also a domain name. Default `tenantId`. */
  tenantId?: string;
  /**
   * The resources that exist in the tenant. Any other is rejected with AADSTS500011 (Cloud Shell: AudienceNotSupported).
   * Case and one trailing slash are ignored. Default: every resource exists.
   */
  resources?: readonly string[];
  /** Lifetime of a token in seconds, 1 or more. Default 86,400 (24 hours, the lifetime of IMDS's tokens). */
  lifetimeSeconds?: number;
  /** Returns the current time in milliseconds since 1970, for the times in tokens. Default `Date.now`. */
  clock?: () => number;
  /**
   * Provides the token for each valid request. Default: the endpoint signs a token itself.
   */
  tokens?: TokenFunction;
  /** The value of IDENTITY_HEADER or MSI_SECRET. Default: 32 random hex digits. */
  secret?: string;
  /**
   * Azure Arc: the directory of the key files, created if it is missing. `close()` removes the key files, and the
   * directories that it created if they are empty. Default: a new temporary directory, which `close()` removes. Clients
   * that validate the path, as they should, read no key from a temporary directory.
   */
  tokensDirectory?: string;
  /**
   * Whether the endpoint uses https, with a self-signed certificate. Default: true for "service-fabric" and
   * "workload-identity", otherwise false. Only for these two sources does `env` make clients trust the certificate. For
   * the other sources write `certificate.pem` to a file and name the file in NODE_EXTRA_CA_CERTS.
   */
  secure?: boolean;
  /** Options of that certificate. Ignored without https. */
  certificate?: CertificateOptions;
  /** Further options of the TLS server, such as `minVersion` and `maxVersion`. Ignored without https. */
  tls?: Omit<SecureContextOptions, "cert" | "key">;
}

/** The argument of a `tokens` function. */
export interface TokenRequest {
  /** The resource of the token, as the client sent it; for "workload-identity" without "/.default". */
  readonly resource: string;
  /** The identity of the token. */
  readonly identity: EmulatorIdentity;
  /** The client's capabilities (`xms_cc`; for "workload-identity" those in `claims`). Empty if there are none. */
  readonly capabilities: readonly string[];
  /** The endpoint's tenant. */
  readonly tenantId: string;
  /** Aborted when the endpoint closes, so that no client can receive the token. */
  readonly signal: AbortSignal;
}

/** The result of a `tokens` function. */
export interface GivenToken {
  /** The token, which must not be empty. It need not be a JWT. */
  readonly accessToken: string;
  /** The expiry: a Date, or seconds since 1970. A fault's `expiresIn` and `expiresOn` replace it in the response. */
  readonly expiresOn: Date | number;
}

/**
 * Provides the tokens of an endpoint. It is called once for each valid request; its result is not cached.
 *
 * If it throws or rejects, the client receives an error in the source's own format, with the error's message. The status
 * is the error's `status` if that is an integer from 300 to 599, otherwise 500. If the result is not a token, the client
 * receives status 500 with the reason as text.
 */
export type TokenFunction = (request: TokenRequest) => GivenToken | Promise<GivenToken>;

/** Options of a self-signed X.509 v3 certificate for a TLS server. */
export interface CertificateOptions {
  /** Common name of subject and issuer. Default "managed-identity-native emulator". */
  subject?: string;
  /** Type of the key; signatures use SHA-256. Default "P-256". "RSA-2048" needs about 100 ms once per process. */
  key?: "P-256" | "RSA-2048";
  /** Start of validity, in whole seconds. Default: a day ago by the system's clock. */
  notBefore?: Date;
  /** End of validity, in whole seconds. Default: 30 days from now by the system's clock. */
  notAfter?: Date;
  /**
   * Valid DNS names and IPv4 addresses. [] omits the extension. Default ["localhost", "127.0.0.1"]; for the certificate
   * of an endpoint also its `host` and its `allowedHosts`.
   */
  names?: readonly string[];
}

/** A certificate with its private key. */
export interface CertificateWithKey extends EmulatorCertificate {
  /** The private key, PKCS #8 in PEM. */
  readonly keyPem: string;
}

/**
 * Creates a self-signed certificate, for example for a TLS server in a test.
 *
 * All certificates of a process with the same type of key, those of its endpoints included, share the key. A client that
 * trusts one of them therefore trusts every other with the same `subject`. For an untrusted certificate use another
 * `subject`.
 */
export declare function createCertificate(options?: CertificateOptions): Promise<CertificateWithKey>;

/** A running endpoint. */
export interface Emulator {
  /** The source that the endpoint emulates. */
  readonly source: EmulatorSource;
  /**
   * The environment variables by which clients detect this source, to be copied into the client's environment. A variable
   * that was set when the endpoint started, and that selects a source which takes precedence, is here with an empty
   * value, so that it selects nothing. `apply` deletes such variables instead.
   */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Sets this source's variables in an environment, such as `process.env`, and deletes the variables that select another
   * source. Returns a function that restores the earlier values. A second call of that function has no effect.
   *
   * @throws {TypeError} If `env` is not an object.
   */
  apply(env: Record<string, string | undefined>): () => void;
  /**
   * Scheme, address and port, without a trailing slash. The address is that of the option `host`, or a loopback address
   * if the endpoint listens on every interface.
   */
  readonly origin: string;
  /** The token endpoint, without a query. */
  readonly url: string;
  /**
   * The key that verifies the signature (RS256) of the endpoint's own tokens, not of those from `tokens`. All endpoints
   * of a process have the same key.
   */
  readonly publicKey: KeyObject;
  /** The certificate of the TLS server; undefined without https. */
  readonly certificate: EmulatorCertificate | undefined;
  /**
   * The requests received so far, in order. The array grows. Requests for the discovery documents of
   * "workload-identity" (openid-configuration and keys) are not recorded.
   */
  readonly requests: RecordedRequest[];

  /**
   * Queues faults for the next requests, one per request, in the order in which requests are received.
   *
   * @throws {TypeError} If `drop` or `status` is invalid.
   */
  next(faults: Fault | readonly Fault[]): void;
  /** Sets the fault of every request for which `next` queued none. null removes it. */
  always(fault: Fault | null): void;
  /**
   * Holds requests: they are recorded, but not answered, until the returned function is called. Several holds must all be
   * released. A second call of the returned function has no effect.
   */
  hold(): () => void;
  /**
   * Resolves when `count` requests have been received since the start, including held ones. Rejects if the endpoint
   * closes first.
   */
  waitForRequests(count: number): Promise<void>;
  /**
   * Returns a client assertion (the token of a service account), as AZURE_FEDERATED_TOKEN_FILE contains it, or with
   * overrides one that Entra rejects. Only for "workload-identity"; undefined for other sources.
   */
  readonly issueAssertion: ((overrides?: AssertionOverrides) => string) | undefined;

  /**
   * Stops listening, closes every connection, including those with a request in progress, and removes the endpoint's
   * files. Later calls return the same promise.
   */
  close(): Promise<void>;
  /** Calls `close()`, for `await using`. Absent before Node.js 20.4. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A self-signed certificate. */
export interface EmulatorCertificate {
  /** The certificate in PEM, for NODE_EXTRA_CA_CERTS or the option `ca` of a TLS client. */
  readonly pem: string;
  /** The certificate in DER. */
  readonly der: Buffer;
  /** SHA-1 of the DER as 40 upper-case hex digits, the format of IDENTITY_SERVER_THUMBPRINT. */
  readonly thumbprint: string;
}

/** A received request. It contains the secrets that the client sent. */
export interface RecordedRequest {
  /** The method in upper case, such as "GET". */
  readonly method: string;
  /** The request target before the "?", as sent. */
  readonly path: string;
  /** The decoded query. The value of a repeated parameter is an array. */
  readonly query: Readonly<Record<string, string | string[]>>;
  /** The whole request target as sent, with its percent-encoding. */
  readonly rawUrl: string;
  /** The headers, with names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** The body as text; "" if there is none. */
  readonly body: string;
  /** The decoded body if its type is application/x-www-form-urlencoded, otherwise undefined. */
  readonly form: Readonly<Record<string, string | string[]>> | undefined;
  /** The status of the response; undefined before it is sent, and if the headers were not sent as a whole. */
  readonly status: number | undefined;
}

/** A response body. An object is sent as JSON, a string or a Buffer unchanged. */
export type FaultBody = string | Buffer | object;

/**
 * Changes of a response. `{}` changes nothing. The request is recorded and validated in any case.
 */
export interface Fault {
  /**
   * The status, 200 to 599. From 300 on and without `body`, the response is an error in the source's own format, without
   * the headers of the normal response (such as Azure Arc's challenge).
   */
  status?: number;
  /** Headers by name. A header replaces the response's own, in any case; undefined or null removes it. */
  headers?: Readonly<Record<string, string | readonly string[] | number | undefined | null>>;
  /**
   * The body, or a function that returns it for the source's own body: the parsed object, or "" if there is none. If the
   * function throws, or a header is invalid, the response has status 500 and the error as text.
   */
  // biome-ignore lint/suspicious/noExplicitAny: the body is any JSON value, and tests change it freely
  body?: FaultBody | ((answer: any, request: RecordedRequest) => FaultBody);
  /** Delay of the response in milliseconds. The token is issued after the delay. Default 0. */
  delay?: number;
  /** Closes the connection before the response, in the middle of its headers, or in the middle of its body. */
  drop?: "before" | "headers" | "body";
  /** Closes the connection with a TCP reset; without `drop` before the response. Default false. */
  reset?: boolean;
  /** Lifetime of this response's token in seconds from now. With 0 or less the token has expired. */
  expiresIn?: number;
  /** Expiry of this response's token, a Date or seconds since 1970. Takes precedence over `expiresIn`. */
  expiresOn?: number | Date;
}

/** Claims of a client assertion that differ from the ones that Entra trusts. */
export interface AssertionOverrides {
  /** The claim `iss`. Any value but the trusted one is rejected with AADSTS700211. */
  issuer?: string;
  /** The claim `sub`. Any value but the trusted one is rejected with AADSTS700213. */
  subject?: string;
  /** The claim `aud`. Any value but the trusted one is rejected with AADSTS700212. */
  audience?: string;
  /** Lifetime in seconds from now; 0 or less is rejected with AADSTS700024. Default 365 days. */
  expiresIn?: number;
}
