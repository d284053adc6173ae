// Azure Cloud Shell. Its tokens belong to the user of the shell. A parameter that names an identity is ignored, as the
// real endpoint does.
// https://learn.microsoft.com/azure/cloud-shell/msi-authorization

import { STATUS_CODES } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
import { codedError } from "../error-responses.js";
import { readCapabilities, singleValue } from "../parameters.js";
import { isTokenPath, requireMetadataHeader } from "./request-checks.js";
import type { IssueToken, Source, SourceContext, SourceDefinition, SourceResponse } from "./source.js";

const PATH = "/oauth2/token";

const NO_METADATA = "bad_request_102";
const INVALID = "invalid_request";
const UNKNOWN_AUDIENCE = "AudienceNotSupported";

function create(context: SourceContext): Source {
  return {
    path: PATH,
    env: { MSI_ENDPOINT: context.origin + PATH },
    respond: (request, issueToken) =>
      validateRequest(request) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request: RecordedRequest): SourceResponse | undefined {
  const { method } = request;
  if (!isTokenPath(request, PATH)) return codedError(404, "not_found", "Not found");
  if (method !== "POST") return codedError(405, "method_not_allowed", "Method not allowed");
  return requireMetadataHeader(request, (message) => codedError(400, NO_METADATA, message));
}

async function respondWithToken(
  { form = {}, query }: RecordedRequest,
  issueToken: IssueToken,
  context: SourceContext,
): Promise<SourceResponse> {
  const resource = singleValue(form, "resource");
  if (resource === undefined) return codedError(400, INVALID, "Required parameter 'resource' is missing");
  if (!context.isKnownResource(resource)) {
    return codedError(400, UNKNOWN_AUDIENCE, `Audience ${resource} is not a supported MSI token audience.`);
  }
  const identity = context.identities.defaultIdentity();
  if (!identity) return codedError(400, INVALID, "Identity not found");
  const token = await issueToken({
    identity,
    resource,
    capabilities: readCapabilities({ ...query, ...form }),
  });
  return {
    status: 200,
    headers: {},
    body: {
      access_token: token.accessToken,
      refresh_token: "",
      expires_in: String(token.expiresIn),
      expires_on: String(token.expiresOn),
      not_before: String(token.notBefore),
      resource: token.resource,
      token_type: "Bearer",
    },
  };
}

function errorResponse(status: number, message = STATUS_CODES[status] ?? "Failure"): SourceResponse {
  return codedError(status, status >= 500 ? "server_error" : INVALID, message);
}

export const cloudShell: SourceDefinition = { create, errorResponse, isSecure: false, requiresSecret: false };
