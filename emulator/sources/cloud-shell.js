"use strict";

// Azure Cloud Shell. Its tokens belong to the user of the shell. A parameter that names an identity is ignored, as the
// real endpoint does.
// https://learn.microsoft.com/azure/cloud-shell/msi-authorization

const { STATUS_CODES } = require("node:http");
const { codedError } = require("../error-responses.js");
const { readCapabilities, singleValue } = require("../parameters.js");
const { isTokenPath, requireMetadataHeader } = require("./request-checks.js");

const PATH = "/oauth2/token";

const NO_METADATA = "bad_request_102";
const INVALID = "invalid_request";
const UNKNOWN_AUDIENCE = "AudienceNotSupported";

function create(context) {
  return {
    path: PATH,
    env: { MSI_ENDPOINT: context.origin + PATH },
    answer: (request, issueToken) =>
      validateRequest(request, context) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request, context) {
  const { form, method } = request;
  if (!isTokenPath(request, PATH)) return codedError(404, "not_found", "Not found");
  if (method !== "POST") return codedError(405, "method_not_allowed", "Method not allowed");
  const metadataError = requireMetadataHeader(request, (message) => codedError(400, NO_METADATA, message));
  if (metadataError) return metadataError;
  const resource = form && singleValue(form, "resource");
  if (!resource) return codedError(400, INVALID, "Required parameter 'resource' is missing");
  if (!context.isKnownResource(resource)) {
    return codedError(400, UNKNOWN_AUDIENCE, `Audience ${resource} is not a supported MSI token audience.`);
  }
  if (!context.identities.defaultIdentity()) return codedError(400, INVALID, "Identity not found");
  return undefined;
}

async function respondWithToken({ form, query }, issueToken, context) {
  const token = await issueToken({
    identity: context.identities.defaultIdentity(),
    resource: form.resource,
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

function errorResponse(status, message = STATUS_CODES[status] ?? "Failure") {
  return codedError(status, status >= 500 ? "server_error" : INVALID, message);
}

module.exports = { create, errorResponse, isSecure: false };
