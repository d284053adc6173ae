// The managed identity token service of a Service Fabric cluster. The secret alone selects the identity. A parameter
// that names an identity is ignored, as the real service does.
// https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code

import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
import { codedError, UNKNOWN_RESOURCE, unknownResourceMessage } from "../error-responses.js";
import { readCapabilities, singleValue } from "../parameters.js";
import { isTokenPath } from "./request-checks.js";
import type { IssueToken, Source, SourceContext, SourceDefinition, SourceResponse } from "./source.js";

const PATH = "/metadata/identity/oauth2/token";
// MSAL.NET sends the second version.
const API_VERSIONS = ["2019-07-01-preview", "2020-05-01"];
const SECRET_HEADER = "secret";

function create(context: SourceContext): Source {
  return {
    path: PATH,
    env: {
      IDENTITY_ENDPOINT: context.origin + PATH,
      IDENTITY_HEADER: context.secret,
      // Without TLS (`secure: false`) there is no certificate, but clients detect the source by this variable.
      IDENTITY_SERVER_THUMBPRINT: context.certificate?.thumbprint ?? "0".repeat(40),
    },
    respond: (request, issueToken) =>
      validateRequest(request, context) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request: RecordedRequest, context: SourceContext): SourceResponse | undefined {
  const { headers, method, query } = request;
  if (!isTokenPath(request, PATH)) return fabricError(404, "NotFound", "Not found.");
  if (method !== "GET") return fabricError(405, "MethodNotAllowed", "Method not allowed.");
  const hasSecret = context.hasSecret(request, SECRET_HEADER);
  if (headers[SECRET_HEADER] === undefined) {
    return fabricError(400, "SecretHeaderNotFound", "Secret is not found in the request headers.");
  }
  if (!hasSecret || context.identities.all.length === 0) {
    return identityNotFound();
  }
  const version = singleValue(query, "api-version") ?? "";
  if (!API_VERSIONS.includes(version)) {
    const message = `The api-version '${version}' is not supported. Supported version is '${API_VERSIONS[0]}'.`;
    return fabricError(400, "InvalidApiVersion", message);
  }
  return undefined;
}

async function respondWithToken(
  { query }: RecordedRequest,
  issueToken: IssueToken,
  context: SourceContext,
): Promise<SourceResponse> {
  const resource = singleValue(query, "resource");
  if (resource === undefined) {
    const message = "The parameter 'resource' should not be null or empty string.";
    return fabricError(400, "ArgumentNullOrEmpty", message);
  }
  if (!context.isKnownResource(resource)) {
    const message = unknownResourceMessage(resource, context.tenantId);
    return fabricError(400, UNKNOWN_RESOURCE.error, `AADSTS${UNKNOWN_RESOURCE.code}: ${message}`);
  }
  // The secret selects the identity, so that an endpoint has one.
  const [identity] = context.identities.all;
  if (!identity) return identityNotFound();
  const token = await issueToken({ identity, resource, capabilities: readCapabilities(query) });
  return {
    status: 200,
    headers: {},
    body: {
      access_token: token.accessToken,
      expires_on: token.expiresOn,
      resource: token.resource,
      token_type: "Bearer",
    },
  };
}

function identityNotFound(): SourceResponse {
  const message = "Managed identity is not found for the specified application host.";
  return fabricError(404, "ManagedIdentityNotFound", message);
}

function fabricError(status: number, code: string, message: string): SourceResponse {
  return codedError(status, code, message, { correlationId: randomUUID() });
}

function errorResponse(status: number, message?: string): SourceResponse {
  const name = STATUS_CODES[status] ?? "Failure";
  return fabricError(status, name.replaceAll(" ", ""), message ?? `${name}.`);
}

export const serviceFabric: SourceDefinition = {
  create,
  errorResponse,
  isSecure: true,
  requiresSecret: true,
};
