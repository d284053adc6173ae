"use strict";

// The agent (himds) of a server that is connected through Azure Arc. A caller proves that it is privileged by reading a
// key file that only privileged users may read.
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication

const { STATUS_CODES } = require("node:http");
const { ArcKeyStore } = require("../arc-key-store.js");
const { UNKNOWN_RESOURCE, entraError, oauthError, unknownResourceMessage } = require("../error-responses.js");
const { findRequestedIdentity, readCapabilities, singleValue } = require("../parameters.js");
const { imdsTokenResponse } = require("../token-responses.js");
const { isTokenPath, requireMetadataHeader } = require("./request-checks.js");

const PATH = "/metadata/identity/oauth2/token";
const API_VERSIONS = ["2021-02-01", "2020-06-01", "2019-11-01", "2019-08-15"];
const IDENTITY_PARAMETERS = { client_id: "clientId", object_id: "objectId", msi_res_id: "resourceId" };
const SCHEME = "Basic ";

const INVALID = "invalid_request";
const NOT_FOUND = "Identity not found";

function create(context) {
  const keys = new ArcKeyStore(context.tokensDirectory);
  return {
    path: PATH,
    env: { IDENTITY_ENDPOINT: context.origin + PATH, IMDS_ENDPOINT: context.origin },
    answer: (request, issueToken) =>
      validateRequest(request) ?? challenge(request, keys) ?? respondWithToken(request, issueToken, context),
    close: () => keys.close(),
  };
}

function validateRequest(request) {
  const { method, query } = request;
  if (!isTokenPath(request, PATH)) return oauthError(404, "not_found", "Not found");
  if (method !== "GET") return oauthError(405, "method_not_allowed", "Method not allowed");
  const metadataError = requireMetadataHeader(request, invalidRequest);
  if (metadataError) return metadataError;
  const version = singleValue(query, "api-version");
  if (!API_VERSIONS.includes(version)) {
    const problem = version === undefined ? "not specified" : "not supported";
    return invalidRequest(`The api-version ${problem}. Supported are ${API_VERSIONS.join(" ")}`);
  }
  if (singleValue(query, "resource") === undefined) {
    return invalidRequest("Required query variable 'resource' is missing");
  }
  return undefined;
}

/** Returns a 401 that names a new key file, unless the request has a valid key. */
function challenge({ headers }, keys) {
  const { authorization } = headers;
  if (authorization?.startsWith(SCHEME) && keys.redeem(authorization.slice(SCHEME.length))) return undefined;
  const problem = authorization === undefined ? "Missing" : "Invalid";
  const response = oauthError(401, "unauthorized_client", `${problem} Basic Authorization header`);
  response.headers["WWW-Authenticate"] = `${SCHEME}realm=${keys.createKeyFile()}`;
  return response;
}

async function respondWithToken(request, issueToken, context) {
  const { query } = request;
  const { problem, isNamed, identity } = findRequestedIdentity(query, IDENTITY_PARAMETERS, (kind, id) =>
    context.identities.find(kind, id),
  );
  if (problem) return invalidRequest(problem);
  const principal = isNamed ? identity : context.identities.defaultIdentity();
  if (!principal) return invalidRequest(NOT_FOUND);
  const { resource } = query;
  if (!context.isKnownResource(resource)) {
    const message = unknownResourceMessage(resource, context.tenantId);
    return entraError(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, message, request);
  }
  const token = await issueToken({ identity: principal, resource, capabilities: readCapabilities(query) });
  // These fields tell a client that the agent supports user-assigned identities. An older agent ignores the id.
  const echo = isNamed ? { object_id: principal.objectId, msi_res_id: principal.resourceId } : {};
  return { status: 200, headers: {}, body: { ...imdsTokenResponse(token), ...echo } };
}

function invalidRequest(description) {
  return oauthError(400, INVALID, description);
}

function errorResponse(status, message = STATUS_CODES[status] ?? "Failure") {
  return oauthError(status, status >= 500 ? "server_error" : INVALID, message);
}

module.exports = { create, errorResponse, isSecure: false };
