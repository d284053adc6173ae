// The Instance Metadata Service of virtual machines, scale sets and AKS nodes.
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token

import { STATUS_CODES } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
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
// IMDS accepts the first version with identities and every dated version after it.
const FIRST_API_VERSION = "2018-02-01";
const LAST_API_VERSION = "2025-04-07";
const DATED = /^\d{4}-\d{2}-\d{2}$/;
const IDENTITY_PARAMETERS: IdentityParameters = {
  client_id: "clientId",
  object_id: "objectId",
  msi_res_id: "resourceId",
};

const INVALID = "invalid_request";
const NOT_FOUND = "Identity not found";
const AMBIGUOUS =
  "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity " +
  "in the token request";

function create(context: SourceContext): Source {
  return {
    path: PATH,
    env: { AZURE_POD_IDENTITY_AUTHORITY_HOST: context.origin },
    respond: (request, issueToken) =>
      validateRequest(request) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request: RecordedRequest): SourceResponse | undefined {
  const { headers, method, query } = request;
  if (!isTokenPath(request, PATH)) return oauthError(404, "not_found", "Not found");
  if (method !== "GET") return oauthError(405, "method_not_allowed", "Method not allowed");
  const metadataError = requireMetadataHeader(request, invalidRequest);
  if (metadataError) return metadataError;
  // A forwarded request may come from another machine.
  if (headers["x-forwarded-for"] !== undefined) {
    return invalidRequest("Requests with an X-Forwarded-For header are not supported");
  }
  const version = singleValue(query, "api-version");
  if (version === undefined) return invalidRequest("Required query variable 'api-version' is missing");
  if (!DATED.test(version) || version < FIRST_API_VERSION || version > LAST_API_VERSION) {
    return invalidRequest("Invalid 'api-version' requested");
  }
  return undefined;
}

async function respondWithToken(
  request: RecordedRequest,
  issueToken: IssueToken,
  context: SourceContext,
): Promise<SourceResponse> {
  const { query } = request;
  const resource = singleValue(query, "resource");
  if (resource === undefined) return invalidRequest("Required query variable 'resource' is missing");
  const { problem, isNamed, identity } = findRequestedIdentity(query, IDENTITY_PARAMETERS, (kind, id) =>
    context.identities.find(kind, id),
  );
  if (problem) return invalidRequest(problem);
  const principal = isNamed ? identity : context.identities.defaultIdentity();
  if (!principal) {
    const isAmbiguous = !isNamed && context.identities.userAssigned.length > 1;
    return invalidRequest(isAmbiguous ? AMBIGUOUS : NOT_FOUND);
  }
  if (!context.isKnownResource(resource)) {
    const message = unknownResourceMessage(resource, context.tenantId);
    return entraError(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, message, request);
  }
  const token = await issueToken({ identity: principal, resource, capabilities: readCapabilities(query) });
  return { status: 200, headers: {}, body: imdsTokenResponse(token) };
}

function invalidRequest(description: string): SourceResponse {
  return oauthError(400, INVALID, description);
}

function errorResponse(status: number, message = STATUS_CODES[status] ?? "Failure"): SourceResponse {
  return oauthError(status, status >= 500 ? "server_error" : INVALID, message);
}

export const imds: SourceDefinition = { create, errorResponse, isSecure: false, requiresSecret: false };
