// `doctor --for`: sends one request with the token to the service itself, and reads its response. Redirects are not
// followed, so that the token goes to this host only.

import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestHttp,
} from "node:http";
import { request as requestHttps } from "node:https";
import { VERSION } from "../lib/version.js";
import { type AzureService, findService } from "./azure-services.js";
import type { ClaimValue } from "./claims.js";
import { UsageError } from "./errors.js";
import { PROGRAM } from "./exit-codes.js";
import { abbreviate } from "./suggestions.js";
import { stripControlCharacters } from "./terminal.js";

const DEFAULT_TIMEOUT_MS = 10_000;
/** An error is described in its first kilobytes; the rest of a response is not read. */
const MAX_BODY_BYTES = 65_536;
const MAX_QUOTED_CHARS = 500;
/** Claims are passed on as a whole; they are as long as the headers that Node.js accepts can make them. */
const MAX_CLAIMS_CHARS = 16_384;
const LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "[::1]"];
/** `name="value"` or `name=value`, in WWW-Authenticate (RFC 9110, section 11.2). */
const PARAMETER = /([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/gi;
const GUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;

/** A service whose acceptance of a token is checked. */
export interface ServiceTarget {
  readonly url: URL;
  /** undefined for a host that is not one of Azure's. */
  readonly service: AzureService | undefined;
  readonly resource: string;
}

/** The response of a service. */
export interface ServiceReport {
  readonly name: string | null;
  /** Without a query. */
  readonly url: string;
  /** Whether the service accepted the token; null if that is not known. */
  readonly accepted: boolean | null;
  /** null if no request was sent, or no response arrived. */
  readonly status: number | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  /** The challenge of a 401. */
  readonly challenge: ServiceChallenge | null;
  /** The code of the fault without a response, such as ENOTFOUND. */
  readonly fault: string | null;
}

export interface ServiceChallenge {
  readonly error: string | null;
  readonly errorDescription: string | null;
  /** The resource for which the service requires a token. */
  readonly resource: string | null;
  /** The tenant of the service. */
  readonly tenant: string | null;
  /** The claims that a new token must have, as JSON. */
  readonly claims: string | null;
}

/** Parses the value of `--for`. `resource` is the value of `--resource`. */
export function parseServiceTarget(text: string, resource: string | undefined): ServiceTarget {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(
      `--for must be a URL, such as https://my-vault.vault.azure.net, not ${abbreviate(text)}.`,
    );
  }
  if (url.protocol === "http:" && !LOOPBACK_HOSTS.includes(url.hostname)) {
    throw new UsageError("--for must be an https URL, because the token would be sent unencrypted.");
  }
  if (url.username !== "" || url.password !== "")
    throw new UsageError("--for must not contain a user or a password.");
  const service = findService(url);
  const wanted = resource ?? service?.resource;
  if (wanted === undefined) {
    throw new UsageError(
      `The resource of ${url.hostname} is not known. Add it with --resource, such as api://<application id>.`,
    );
  }
  return { url, service, resource: wanted };
}

/** Sends one request with the token. Resolves with the report, in which the token may still be quoted. */
export async function checkService(
  { url, service }: ServiceTarget,
  token: string,
  timeout = DEFAULT_TIMEOUT_MS,
): Promise<ServiceReport> {
  const hasPath = url.pathname !== "/" || url.search !== "";
  const facts = {
    name: service?.name ?? null,
    url: url.origin + url.pathname,
    accepted: null,
    status: null,
    errorCode: null,
    errorMessage: null,
    challenge: null,
    fault: null,
  };
  if (service !== undefined && service.request === undefined && !hasPath) return facts;
  const { path = "/", headers = {}, authorization = bearer } = service?.request ?? {};
  const target = hasPath ? url : new URL(path, url);
  const outgoing = (url.protocol === "https:" ? requestHttps : requestHttp)(target, {
    // A connection of its own, so that none stays open.
    agent: false,
    headers: {
      ...headers,
      Authorization: authorization(token),
      "User-Agent": `${PROGRAM}/${VERSION}`,
      "x-ms-date": new Date().toUTCString(),
    },
    signal: AbortSignal.timeout(timeout),
  });
  try {
    const response = await receive(outgoing);
    const { statusCode: status = 0, headers: received } = response;
    const { code, message } = status >= 400 ? await readError(response) : {};
    return {
      ...facts,
      accepted: isAccepted(status),
      status,
      errorCode: quote(code ?? received["x-ms-error-code"]),
      errorMessage: quote(message),
      challenge: status === 401 ? readChallenge(received) : null,
    };
  } catch (error) {
    return { ...facts, fault: describeFault(error) };
  } finally {
    outgoing.destroy();
  }
}

function bearer(token: string): string {
  return `Bearer ${token}`;
}

function receive(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on("response", resolve).on("error", reject).end();
  });
}

/** A service reads the token before it looks for what a request is about, so that a 404 means that it was accepted. */
function isAccepted(status: number): boolean | null {
  if (status === 401 || status === 403) return false;
  return status === 429 || status >= 500 || (status >= 300 && status < 400) ? null : true;
}

function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "AbortError" || error.name === "TimeoutError") return "ETIMEDOUT";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

/** The fields of an error in a response. */
interface ServiceError {
  readonly code?: string | undefined;
  readonly message?: string | undefined;
}

async function readError(response: IncomingMessage): Promise<ServiceError> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_BODY_BYTES) break;
  }
  const text = Buffer.concat(chunks).toString("utf8");
  return parseXmlError(text) ?? parseJsonError(text) ?? {};
}

/** Storage: `<Error><Code>…</Code><Message>…</Message></Error>`. */
function parseXmlError(text: string): ServiceError | undefined {
  const [, code] = /<Code>([^<]*)<\/Code>/.exec(text) ?? [];
  const [, message] = /<Message>([^<]*)<\/Message>/.exec(text) ?? [];
  return code === undefined ? undefined : { code, message };
}

/** Most services: `{ "error": { "code", "message" } }`, of which Key Vault has another `error` inside, with the reason. */
function parseJsonError(text: string): ServiceError | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const error = field(body, "error") ?? field(body, "odata.error") ?? body;
    const inner = field(field(error, "innererror"), "code");
    const message = field(error, "message");
    return {
      code: asText(inner) ?? asText(field(error, "code")) ?? asText(error),
      message: asText(message) ?? asText(field(message, "value")) ?? asText(field(body, "error_description")),
    };
  } catch {
    return undefined;
  }
}

function field(value: unknown, name: string): unknown {
  return value !== null && typeof value === "object" ? Reflect.get(value, name) : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function quote(value: string | string[] | undefined, maxChars: number = MAX_QUOTED_CHARS): string | null {
  const [text] = [value].flat();
  return text === undefined ? null : stripControlCharacters(text).trim().slice(0, maxChars);
}

function readChallenge(headers: IncomingHttpHeaders): ServiceChallenge | null {
  const header = headers["www-authenticate"];
  if (header === undefined) return null;
  const parameters = new Map<string, string>();
  for (const [, name = "", quoted, plain] of header.matchAll(PARAMETER)) {
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "";
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
  }
  const authority = parameters.get("authorization_uri") ?? parameters.get("authorization") ?? "";
  const claims = parameters.get("claims");
  return {
    error: quote(parameters.get("error")),
    errorDescription: quote(parameters.get("error_description")),
    resource: quote(parameters.get("resource") ?? parameters.get("resource_id")),
    tenant: GUID.exec(authority)?.[0] ?? null,
    claims:
      claims === undefined ? null : quote(Buffer.from(claims, "base64").toString("utf8"), MAX_CLAIMS_CHARS),
  };
}

/** How a token was made, for the advice. */
export interface CheckedToken {
  readonly resource: string;
  readonly claims: Readonly<Record<string, ClaimValue>> | null;
}

/** Returns the advice on a service's response, as a list of sentences. */
export function adviceForService(
  report: ServiceReport,
  { service, url }: ServiceTarget,
  token: CheckedToken,
): readonly string[] {
  const { accepted, challenge, fault, status } = report;
  if (fault !== null) return [faultAdvice(fault, url)];
  if (status === 401) return challengeAdvice(challenge, token);
  if (status === 403) return [permissionAdvice(report, service, token)];
  if (status === null) {
    return [
      `${service?.name} is not asked, since no GET request tells whether it accepts a token. The identity needs ` +
        `${roleText(service)} there.`,
    ];
  }
  if (accepted !== null) return [];
  if (status < 400) return ["The service redirects. Run again with --for and the URL to which it redirects."];
  return [
    "Whether the service accepts the token is not known: it is overloaded or has a fault. Try again later.",
  ];
}

function faultAdvice(fault: string, { hostname }: URL): string {
  if (fault === "ENOTFOUND" || fault === "EAI_AGAIN") {
    return (
      `The name ${hostname} cannot be resolved. Check its spelling, and, if the service has a private endpoint, that ` +
      "this machine's DNS knows the private zone."
    );
  }
  if (/CERT|SIGNATURE|ISSUER/.test(fault)) {
    return `The certificate of ${hostname} is not trusted. If a proxy inspects TLS, add its root with NODE_EXTRA_CA_CERTS.`;
  }
  return (
    `No response came from ${hostname}. Check the firewall, the routes and the service's private endpoint. The doctor ` +
    "connects directly, without a proxy."
  );
}

function challengeAdvice(
  challenge: ServiceChallenge | null,
  { resource, claims }: CheckedToken,
): readonly string[] {
  const { claims: wanted = null, resource: expected = null, tenant = null } = challenge ?? {};
  if (wanted !== null) {
    return [
      "The service demands a new token, with the claims of its challenge (continuous access evaluation). A program " +
        "requests it with acquireToken({ resource, claims }); credentials of the Azure SDK do so by themselves. To see " +
        "whether such a token comes, run token with --claims and these claims.",
    ];
  }
  const advice: string[] = [];
  if (expected !== null && withoutSlash(expected) !== withoutSlash(resource)) {
    advice.push(`The service expects a token for ${expected}: run again with --resource ${expected}.`);
  }
  if (
    tenant !== null &&
    typeof claims?.tid === "string" &&
    claims.tid.toLowerCase() !== tenant.toLowerCase()
  ) {
    advice.push(
      `The service belongs to the tenant ${tenant}, but the token is one of ${claims.tid}. A managed identity has tokens ` +
        "of its own tenant only.",
    );
  }
  if (advice.length > 0) return advice;
  return [
    "The service rejects the token itself. Compare its claims aud, iss and tid with what the service expects.",
  ];
}

function withoutSlash(resource: string): string {
  return resource.toLowerCase().replace(/\/$/, "");
}

/** The codes with which services report a rule about addresses, not about identities. */
const FIREWALL_CODES = [
  "ForbiddenByFirewall",
  "ForbiddenByConnection",
  "AuthorizationFailure",
  "IpAddressNotAllowed",
];

function permissionAdvice(
  { errorCode }: ServiceReport,
  service: AzureService | undefined,
  { claims }: CheckedToken,
): string {
  const id = typeof claims?.oid === "string" ? claims.oid : "<object id>";
  if (errorCode !== null && FIREWALL_CODES.includes(errorCode)) {
    return (
      "The service accepts the identity, but its network rules may exclude this machine: check its firewall, and " +
      `whether a private endpoint is required. If they allow it, assign ${roleText(service)} to the identity ${id}.`
    );
  }
  return (
    `The service knows the identity ${id}, but the identity is not allowed to do this. Assign ${roleText(service)} to ` +
    "it, for example with az role assignment create. A new assignment may take ten minutes to have an effect."
  );
}

function roleText(service: AzureService | undefined): string {
  if (service === undefined) return "a role";
  return /^[A-Z]/.test(service.role) ? `a role such as ${service.role}` : service.role;
}
