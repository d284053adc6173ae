"use strict";

// App Service, and what is built on it: Functions, Container Apps, Automation. API version 2019-08-01.
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference

const { STATUS_CODES } = require("node:http");
const { readCapabilities, readIdentity, single } = require("../parameters.js");
const { UNKNOWN_RESOURCE, codedRefusal, siteRefusal, unknownResourceWords } = require("../error-responses.js");

const PATH = "/msi/token";
const API_VERSION = "2019-08-01";
const SECRET_HEADER = "x-identity-header";
const ID_SPELLINGS = {
  client_id: "clientId",
  object_id: "objectId",
  principal_id: "objectId",
  mi_res_id: "resourceId",
};

const NOT_FOUND =
  "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.";
// Also with a single user-assigned identity: App Service wants it named.
const NONE_NAMED = "Unable to load the proper Managed Identity.";

function open(site) {
  return {
    path: PATH,
    env: { IDENTITY_ENDPOINT: site.origin + PATH, IDENTITY_HEADER: site.secret },
    answer: (request, issue) => refuse(request, site) ?? grant(request, issue, site),
  };
}

function refuse({ method, path, query, headers, rawUrl }, site) {
  if (path !== PATH && path !== `${PATH}/`) return empty(404);
  if (method !== "GET") return empty(405);
  const version = single(query, "api-version");
  if (version === undefined) {
    return codedRefusal(400, "ApiVersionUnspecified", "An API version is required, but was not specified.");
  }
  if (version !== API_VERSION) {
    const words =
      `The HTTP resource that matches the request URI '${site.origin}${rawUrl}' ` +
      `does not support the API version '${version}'.`;
    return codedRefusal(400, "UnsupportedApiVersion", words);
  }
  // A wrong or missing secret gets a bare 403.
  if (headers[SECRET_HEADER] !== site.secret) return empty(403);
  return undefined;
}

async function grant({ query }, issue, site) {
  const resource = single(query, "resource");
  if (resource === undefined) return siteRefusal(400, "The 'resource' query parameter is required.");
  const { problem, named, identity } = readIdentity(query, ID_SPELLINGS, (kind, id) =>
    site.identities.findUserAssigned(kind, id),
  );
  if (problem) return siteRefusal(400, problem);
  if (named && !identity) return siteRefusal(400, NOT_FOUND);
  const principal = named ? identity : site.identities.systemAssigned;
  if (!principal) return siteRefusal(400, NONE_NAMED);
  if (!site.knows(resource)) {
    return siteRefusal(
      400,
      `AADSTS${UNKNOWN_RESOURCE.code}: ${unknownResourceWords(resource, site.tenantId)}`,
    );
  }
  const token = await issue({ identity: principal, resource, capabilities: readCapabilities(query) });
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

function fail(status, words = STATUS_CODES[status] ?? "Failure") {
  return siteRefusal(status, words);
}

function empty(status) {
  return { status, headers: {}, body: "" };
}

module.exports = { fail, open, secure: false };
