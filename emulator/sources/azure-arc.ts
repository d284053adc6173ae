// The agent (himds) of a server that is connected through Azure Arc. A caller proves that it is privileged by reading a
// key file that only privileged users may read.
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication

import { STATUS_CODES } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
import { ArcKeyStore } from "../arc-key-store.js";
import { entraError, oauthError, UNKNOWN_RESOURCE, unknownResourceMessage } from "../error-responses.js";
import {
  findRequestedIdentity,
  type IdentityParameters,
  readCapabilities,
  singleValue,
} from "../parameters.js";
import { imdsTokenResponse } from "../token-responses.js";
import { isTokenPath, requireMetadataHeader } from "./request-checks.js";
import type { IssueToken, Source, SourceContext, SourceDefinition, SourceResponse } from "./source.js";

const PATH = "/metadata/identity/oauth2/token";
const API_VERSIONS = ["2021-02-01", "2020-06-01", "2019-11-01", "2019-08-15"];
const IDENTITY_PARAMETERS: IdentityParameters = {
  client_id: "clientId",
  object_id: "objectId",
  msi_res_id: "resourceId",
};
const SCHEME = "Basic ";

const INVALID = "invalid_request";
const NOT_FOUND = "Identity not found";

function create(context: SourceContext): Source {
  const keys = new ArcKeyStore(context.tokensDirectory);
  return {
    path: PATH,
    env: { IDENTITY_ENDPOINT: context.origin + PATH, IMDS_ENDPOINT: context.origin },
    respond: (request, issueToken) =>
      validateRequest(request) ?? respondWithToken(request, issueToken, context, keys),
    close: () => keys.close(),
  };
}

function validateRequest(request: RecordedRequest): SourceResponse | undefined {
  const { method, query } = request;
  if (!isTokenPath(request, PATH)) return oauthError(404, "not_found", "Not found");
  if (method !== "GET") return oauthError(405, "method_not_allowed", "Method not allowed");
  const metadataError = requireMetadataHeader(request, invalidRequest);
  if (metadataError) return metadataError;
  const version = singleValue(query, "api-version");
  if (version === undefined || !API_VERSIONS.includes(version)) {
    const problem = version === undefined ? "not specified" : "not supported";
    return invalidRequest(`The api-version ${problem}. Supported are ${API_VERSIONS.join(" ")}`);
  }
  return undefined;
}

/** Returns a 401 that names a new key file, unless the request has a valid key. */
function challenge({ headers }: RecordedRequest, keys: ArcKeyStore): SourceResponse | undefined {
  const { authorization } = headers;
  if (authorization?.startsWith(SCHEME) && keys.redeem(authorization.slice(SCHEME.length))) return undefined;
  const problem = authorization === undefined ? "Missing" : "Invalid";
  const response = oauthError(401, "unauthorized_client", `${problem} Basic Authorization header`);
  response.headers["WWW-Authenticate"] = `${SCHEME}realm=${keys.createKeyFile()}`;
  return response;
}

async function respondWithToken(
  request: RecordedRequest,
  issueToken: IssueToken,
  context: SourceContext,
  keys: ArcKeyStore,
): Promise<SourceResponse> {
  const { query } = request;
  const resource = singleValue(query, "resource");
  if (resource === undefined) return invalidRequest("Required query variable 'resource' is missing");
  const unauthorized = challenge(request, keys);
  if (unauthorized) return unauthorized;
  const { problem, isNamed, identity } = findRequestedIdentity(query, IDENTITY_PARAMETERS, (kind, id) =>
    context.identities.find(kind, id),
  );
  if (problem) return invalidRequest(problem);
  const principal = isNamed ? identity : context.identities.defaultIdentity();
  if (!principal) return invalidRequest(NOT_FOUND);
  if (!context.isKnownResource(resource)) {
    const message = unknownResourceMessage(resource, context.tenantId);
    return entraError(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, message, request);
  }
  const token = await issueToken({ identity: principal, resource, capabilities: readCapabilities(query) });
  // These fields tell a client that the agent supports user-assigned identities. An older agent ignores the id.
  const echo = isNamed ? { object_id: principal.objectId, msi_res_id: principal.resourceId } : {};
  return { status: 200, headers: {}, body: { ...imdsTokenResponse(token), ...echo } };
}

function invalidRequest(description: string): SourceResponse {
  return oauthError(400, INVALID, description);
}

function errorResponse(status: number, message = STATUS_CODES[status] ?? "Failure"): SourceResponse {
  return oauthError(status, status >= 500 ? "server_error" : INVALID, message);
}

export const azureArc: SourceDefinition = { create, errorResponse, isSecure: false, requiresSecret: false };
