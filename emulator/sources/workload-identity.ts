// Entra's token endpoint as a pod on AKS uses it: the token of a service account is exchanged for a token of a
// user-assigned identity. Unlike the other sources it is a service on the internet, and so uses https.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { STATUS_CODES } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AssertionOverrides, RecordedRequest } from "managed-identity-native/emulator";
import { type AssertionDefect, createAssertion, validateAssertion } from "../client-assertion.js";
import { entraError, UNKNOWN_RESOURCE, unknownResourceMessage } from "../error-responses.js";
import { type RequestParameters, readClaimsCapabilities, singleValue } from "../parameters.js";
import type { IssueToken, Source, SourceContext, SourceDefinition, SourceResponse } from "./source.js";

const GRANT_TYPE = "client_credentials";
const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEFAULT_SCOPE = "/.default";
const OWNER_ONLY = 0o600;

/** The AADSTS number and the message for each defect of an assertion. */
const ASSERTION_ERRORS: Readonly<Record<AssertionDefect["defect"], readonly [number, ToMessage]>> = {
  malformed: [50_027, () => "JWT token is invalid or malformed."],
  issuer: [700_211, noMatchingRecord("issuer")],
  subject: [700_213, noMatchingRecord("subject")],
  audience: [700_212, noMatchingRecord("audience")],
  signature: [50_013, () => "Assertion failed signature validation."],
  expired: [700_024, () => "Client assertion is not within its valid time range."],
};

/** Returns the message for the value of a claim. */
type ToMessage = (value: unknown) => string;

/** Returns an error response to the request. `code` is the AADSTS number. */
type Reject = (status: number, error: string, code: number, message: string) => SourceResponse;

function noMatchingRecord(claim: string): ToMessage {
  return (value) =>
    `No matching federated identity record found for presented assertion ${claim} '${value}'. Please check ` +
    "your federated identity credential Subject, Audience and Issuer against the presented assertion.";
}

function create(context: SourceContext): Source {
  const directory = mkdtempSync(join(tmpdir(), "emulator-workload-"));
  const write = (name: string, text: string) => {
    const file = join(directory, name);
    writeFileSync(file, text, { mode: OWNER_ONLY });
    return file;
  };
  const issueAssertion = (overrides?: AssertionOverrides) =>
    createAssertion(context.keys, context.clock(), overrides);
  const [identity] = context.identities.userAssigned;
  return {
    path: `/${context.tenantId}/oauth2/v2.0/token`,
    env: {
      AZURE_AUTHORITY_HOST: `${context.origin}/`,
      AZURE_FEDERATED_TOKEN_FILE: write("token", issueAssertion()),
      AZURE_TENANT_ID: context.tenantId,
      ...(identity && { AZURE_CLIENT_ID: identity.clientId }),
      ...(context.certificate && {
        NODE_EXTRA_CA_CERTS: write("ca.pem", `${extraRoots(process.env)}${context.certificate.pem}`),
      }),
    },
    respond: (request, issueToken) => {
      const reject: Reject = (...error) => entraError(...error, request);
      return validateTarget(request, context, reject) ?? exchange(request, issueToken, context, reject);
    },
    discoveryDocument: (request) => discoveryDocument(request, context),
    issueAssertion,
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Returns the roots that clients trust besides their own already, since they read one file only. */
function extraRoots({ NODE_EXTRA_CA_CERTS: file }: NodeJS.ProcessEnv): string {
  if (!file) return "";
  try {
    return `${readFileSync(file, "utf8").trimEnd()}\n`;
  } catch {
    return ""; // Node.js warns about such a file, and goes on without it.
  }
}

/** Checks the method and the path. */
function validateTarget(
  { method, path }: RecordedRequest,
  context: SourceContext,
  reject: Reject,
): SourceResponse | undefined {
  const [, tenant = "", ...rest] = path.split("/");
  if (rest.join("/") !== "oauth2/v2.0/token") return { status: 404, headers: {}, body: "" };
  if (method !== "POST") {
    const message = `The endpoint only accepts POST requests. Received a ${method} request.`;
    return reject(400, "invalid_request", 900_561, message);
  }
  if (tenant.toLowerCase() !== context.tenantId.toLowerCase()) {
    const message = `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID.`;
    return reject(400, "invalid_request", 90_002, message);
  }
  return undefined;
}

/** Exchanges a client assertion for a token. */
async function exchange(
  { form = {} }: RecordedRequest,
  issueToken: IssueToken,
  context: SourceContext,
  reject: Reject,
): Promise<SourceResponse> {
  const grantType = singleValue(form, "grant_type");
  if (grantType === undefined) return missingParameter("grant_type", reject);
  const clientId = singleValue(form, "client_id");
  if (clientId === undefined) return missingParameter("client_id", reject);
  const scope = singleValue(form, "scope");
  if (scope === undefined) return missingParameter("scope", reject);
  if (grantType !== GRANT_TYPE) {
    const message = `The app requested an unsupported grant type '${grantType}'.`;
    return reject(400, "unsupported_grant_type", 70_003, message);
  }
  const identity = context.identities.findUserAssigned("clientId", clientId);
  if (!identity) {
    const message =
      `Application with identifier '${clientId}' was not found in the directory '${context.tenantId}'. ` +
      "This can happen if the application has not been installed by the administrator of the tenant or " +
      "consented to by any user in the tenant.";
    return reject(400, "unauthorized_client", 700_016, message);
  }
  const resource = resourceFromScope(scope);
  const invalid =
    validateClientAssertion(form, context, reject) ?? validateScope(scope, resource, context, reject);
  if (invalid) return invalid;
  const token = await issueToken({ identity, resource, capabilities: readClaimsCapabilities(form) });
  return {
    status: 200,
    headers: {},
    body: {
      token_type: "Bearer",
      expires_in: token.expiresIn,
      ext_expires_in: token.expiresIn,
      access_token: token.accessToken,
    },
  };
}

function missingParameter(name: string, reject: Reject): SourceResponse {
  const message = `The request body must contain the following parameter: '${name}'.`;
  return reject(400, "invalid_request", 900_144, message);
}

function validateClientAssertion(
  form: RequestParameters,
  context: SourceContext,
  reject: Reject,
): SourceResponse | undefined {
  const assertion = singleValue(form, "client_assertion");
  if (assertion === undefined || form.client_assertion_type !== ASSERTION_TYPE) {
    const message =
      "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
    return reject(401, "invalid_client", 7_000_216, message);
  }
  const invalid = validateAssertion(assertion, context.keys, context.clock());
  if (!invalid) return undefined;
  const [code, toMessage] = ASSERTION_ERRORS[invalid.defect];
  return reject(401, "invalid_client", code, toMessage(invalid.value));
}

function validateScope(
  scope: string,
  resource: string,
  context: SourceContext,
  reject: Reject,
): SourceResponse | undefined {
  if (!scope.endsWith(DEFAULT_SCOPE)) {
    const message =
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value ` +
      "with /.default suffixed to the resource identifier (application ID URI).";
    return reject(400, "invalid_scope", 1_002_012, message);
  }
  if (context.isKnownResource(resource)) return undefined;
  const message = unknownResourceMessage(resource, context.tenantId);
  return reject(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, message);
}

/** Returns the discovery documents, which @azure/identity reads before it requests a token. */
function discoveryDocument(
  { headers, method, path }: RecordedRequest,
  { keys, origin, tenantId }: SourceContext,
): SourceResponse | undefined {
  if (method !== "GET") return undefined;
  // The name under which this client reaches the endpoint, such as that of a service of a compose file.
  const { host = new URL(origin).host } = headers;
  const base = `${new URL(origin).protocol}//${host}/${tenantId}`;
  if (path === `/${tenantId}/v2.0/.well-known/openid-configuration`) {
    const body = {
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
    };
    return { status: 200, headers: {}, body };
  }
  if (path === `/${tenantId}/discovery/v2.0/keys`) {
    const key = { ...keys.publicKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: keys.keyId };
    return { status: 200, headers: {}, body: { keys: [key] } };
  }
  return undefined;
}

function resourceFromScope(scope: string): string {
  return scope.slice(0, -DEFAULT_SCOPE.length);
}

function errorResponse(status: number, message = `${STATUS_CODES[status] ?? "Failure"}.`): SourceResponse {
  const error = status >= 500 ? "temporarily_unavailable" : "invalid_request";
  return entraError(status, error, 90_033, message, { headers: {} });
}

export const workloadIdentity: SourceDefinition = {
  create,
  errorResponse,
  isSecure: true,
  requiresSecret: false,
};
