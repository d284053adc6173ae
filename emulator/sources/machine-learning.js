"use strict";

// A compute of Azure Machine Learning: App Service's API of 2017, with an integer `expires_on` and a client id in every
// request, even for the compute's own identity.
// https://github.com/Azure/azure-sdk-for-net/issues/40348

const { STATUS_CODES } = require("node:http");
const { UNKNOWN_RESOURCE, appServiceError, unknownResourceMessage } = require("../error-responses.js");
const { findRequestedIdentity, readCapabilities, singleValue } = require("../parameters.js");
const { isTokenPath } = require("./request-checks.js");

const PATH = "/MSI/token";
const API_VERSION = "2017-09-01";
const SECRET_HEADER = "secret";
const IDENTITY_PARAMETERS = { clientid: "clientId" };

const NOT_FOUND = "No MSI found for specified ClientId/ResourceId.";

function create(context) {
  const { systemAssigned } = context.identities;
  return {
    path: PATH,
    env: {
      MSI_ENDPOINT: context.origin + PATH,
      MSI_SECRET: context.secret,
      ...(systemAssigned && { DEFAULT_IDENTITY_CLIENT_ID: systemAssigned.clientId }),
    },
    answer: (request, issueToken) =>
      validateRequest(request, context) ?? respondWithToken(request, issueToken, context),
  };
}

function validateRequest(request, context) {
  const { headers, method, query } = request;
  if (!isTokenPath(request, PATH)) return appServiceError(404, "Not found");
  if (method !== "GET") return appServiceError(405, "Method not allowed");
  if (headers[SECRET_HEADER] !== context.secret) return appServiceError(401, "Unauthorized");
  const version = singleValue(query, "api-version");
  if (version !== API_VERSION) return appServiceError(400, `Unsupported api-version '${version ?? ""}'.`);
  if (singleValue(query, "resource") === undefined) {
    return appServiceError(400, "The 'resource' query parameter is required.");
  }
  return undefined;
}

async function respondWithToken({ query }, issueToken, context) {
  const { problem, isNamed, identity } = findRequestedIdentity(query, IDENTITY_PARAMETERS, (kind, id) =>
    context.identities.find(kind, id),
  );
  if (problem) return appServiceError(400, problem);
  const principal = isNamed ? identity : context.identities.defaultIdentity();
  if (!principal) return appServiceError(400, NOT_FOUND);
  const { resource } = query;
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

function errorResponse(status, message = STATUS_CODES[status] ?? "Failure") {
  return appServiceError(status, message);
}

module.exports = { create, errorResponse, isSecure: false };
