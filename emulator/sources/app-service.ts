// App Service, and the services built on it: Functions, Container Apps, Automation. API version 2019-08-01.
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference

import { STATUS_CODES } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
import { appServiceError, codedError, UNKNOWN_RESOURCE, unknownResourceMessage } from "../error-responses.js";
import {
  findRequestedIdentity,
  type IdentityParameters,
  readCapabilities,
  singleValue,
} from "../parameters.js";
import { isTokenPath } from "./request-checks.js";
import type { IssueToken, Source, SourceContext, SourceDefinition, SourceResponse } from "./source.js";

const PATH = "/msi/token";
const API_VERSION = "2019-08-01";
const SECRET_HEADER = "x-identity-header";
const IDENTITY_PARAMETERS: IdentityParameters = {
  client_id: "clientId",
  object_id: "objectId",
  principal_id: "objectId",
  mi_res_id: "resourceId",
};

const NOT_FOUND =
  "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.";
// App Service requires an id even if there is only one user-assigned identity.
const IDENTITY_REQUIRED = "Unable to load the proper Managed Identity.";

function create(context: SourceContext): Source {
  return {
    path: PATH,
    env: { IDENTITY_ENDPOINT: context.origin + PATH, IDENTITY_HEADER: context.secret },
    respond: (request, issueToken) =>
      validateRequest(request, context) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request: RecordedRequest, context: SourceContext): SourceResponse | undefined {
  const { method, query, rawUrl } = request;
  if (!isTokenPath(request, PATH)) return emptyResponse(404);
  if (method !== "GET") return emptyResponse(405);
  const version = singleValue(query, "api-version");
  if (version === undefined) {
    return codedError(400, "ApiVersionUnspecified", "An API version is required, but was not specified.");
  }
  if (version !== API_VERSION) {
    const message =
      `The HTTP resource that matches the request URI '${context.origin}${rawUrl}' ` +
      `does not support the API version '${version}'.`;
    return codedError(400, "UnsupportedApiVersion", message);
  }
  // A wrong or missing secret results in a 403 without a body.
  if (!context.hasSecret(request, SECRET_HEADER)) return emptyResponse(403);
  return undefined;
}

async function respondWithToken(
  { query }: RecordedRequest,
  issueToken: IssueToken,
  context: SourceContext,
): Promise<SourceResponse> {
  const resource = singleValue(query, "resource");
  if (resource === undefined) return appServiceError(400, "The 'resource' query parameter is required.");
  const { problem, isNamed, identity } = findRequestedIdentity(query, IDENTITY_PARAMETERS, (kind, id) =>
    context.identities.findUserAssigned(kind, id),
  );
  if (problem) return appServiceError(400, problem);
  if (isNamed && !identity) return appServiceError(400, NOT_FOUND);
  const principal = isNamed ? identity : context.identities.systemAssigned;
  if (!principal) return appServiceError(400, IDENTITY_REQUIRED);
  if (!context.isKnownResource(resource)) {
    const message = unknownResourceMessage(resource, context.tenantId);
    return appServiceError(400, `AADSTS${UNKNOWN_RESOURCE.code}: ${message}`);
  }
  const token = await issueToken({ identity: principal, resource, capabilities: readCapabilities(query) });
  return {
    status: 200,
    headers: {},
    body: {
      access_token: token.accessToken,
      client_id: principal.clientId,
      expires_on: String(token.expiresOn),
      not_before: String(token.notBefore),
      resource,
      token_type: "Bearer",
    },
  };
}

function errorResponse(status: number, message = STATUS_CODES[status] ?? "Failure"): SourceResponse {
  return appServiceError(status, message);
}

function emptyResponse(status: number): SourceResponse {
  return { status, headers: {}, body: "" };
}

export const appService: SourceDefinition = { create, errorResponse, isSecure: false, requiresSecret: true };
