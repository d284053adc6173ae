// A compute of Azure Machine Learning: App Service's API of 2017, with an integer `expires_on` and a client id in every
// request, even for the compute's own identity.
// https://github.com/Azure/azure-sdk-for-net/issues/40348

import { STATUS_CODES } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
import { appServiceError, UNKNOWN_RESOURCE, unknownResourceMessage } from "../error-responses.js";
import {
  findRequestedIdentity,
  type IdentityParameters,
  readCapabilities,
  singleValue,
} from "../parameters.js";
import { isTokenPath } from "./request-checks.js";
import type { IssueToken, Source, SourceContext, SourceDefinition, SourceResponse } from "./source.js";

const PATH = "/MSI/token";
const API_VERSION = "2017-09-01";
const SECRET_HEADER = "secret";
const IDENTITY_PARAMETERS: IdentityParameters = { clientid: "clientId" };

const NOT_FOUND = "No MSI found for specified ClientId/ResourceId.";

function create(context: SourceContext): Source {
  const { systemAssigned } = context.identities;
  return {
    path: PATH,
    env: {
      MSI_ENDPOINT: context.origin + PATH,
      MSI_SECRET: context.secret,
      ...(systemAssigned && { DEFAULT_IDENTITY_CLIENT_ID: systemAssigned.clientId }),
    },
    respond: (request, issueToken) =>
      validateRequest(request, context) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request: RecordedRequest, context: SourceContext): SourceResponse | undefined {
  const { method, query } = request;
  if (!isTokenPath(request, PATH)) return appServiceError(404, "Not found");
  if (method !== "GET") return appServiceError(405, "Method not allowed");
  if (!context.hasSecret(request, SECRET_HEADER)) return appServiceError(401, "Unauthorized");
  const version = singleValue(query, "api-version");
  if (version !== API_VERSION) return appServiceError(400, `Unsupported api-version '${version ?? ""}'.`);
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
    context.identities.find(kind, id),
  );
  if (problem) return appServiceError(400, problem);
  const principal = isNamed ? identity : context.identities.defaultIdentity();
  if (!principal) return appServiceError(400, NOT_FOUND);
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
      expires_on: token.expiresOn,
      resource,
      token_type: "Bearer",
    },
  };
}

function errorResponse(status: number, message = STATUS_CODES[status] ?? "Failure"): SourceResponse {
  return appServiceError(status, message);
}

export const machineLearning: SourceDefinition = {
  create,
  errorResponse,
  isSecure: false,
  requiresSecret: true,
};
