"use strict";

// The Instance Metadata Service of virtual machines, scale sets and AKS nodes.
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token

const { STATUS_CODES } = require("node:http");
const { metadataGrant } = require("../token-responses.js");
const { readCapabilities, readIdentity, single } = require("../parameters.js");
const { UNKNOWN_RESOURCE, entraRefusal, oauthRefusal, unknownResourceWords } = require("../error-responses.js");

const PATH = "/metadata/identity/oauth2/token";
// IMDS takes the first version that knew identities and every dated version after it.
const FIRST_API_VERSION = "2018-02-01";
const LAST_API_VERSION = "2025-04-07";
const DATED = /^\d{4}-\d{2}-\d{2}$/;
const ID_SPELLINGS = { client_id: "clientId", object_id: "objectId", msi_res_id: "resourceId" };

const INVALID = "invalid_request";
const NOT_FOUND = "Identity not found";
const AMBIGUOUS =
  "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity " +
  "in the token request";

function open(site) {
  return {
    path: PATH,
    env: { AZURE_POD_IDENTITY_AUTHORITY_HOST: site.origin },
    answer: (request, issue) => refuse(request) ?? grant(request, issue, site),
  };
}

function refuse({ method, path, query, headers }) {
  if (path !== PATH && path !== `${PATH}/`) return oauthRefusal(404, "not_found", "Not found");
  if (method !== "GET") return oauthRefusal(405, "method_not_allowed", "Method not allowed");
  if (headers.metadata?.toLowerCase() !== "true") {
    return oauthRefusal(400, INVALID, "Required metadata header not specified");
  }
  // A forwarded request may come from outside the machine.
  if (headers["x-forwarded-for"] !== undefined) {
    return oauthRefusal(400, INVALID, "Requests with an X-Forwarded-For header are not supported");
  }
  const version = single(query, "api-version");
  if (version === undefined) {
    return oauthRefusal(400, INVALID, "Required query variable 'api-version' is missing");
  }
  if (!DATED.test(version) || version < FIRST_API_VERSION || version > LAST_API_VERSION) {
    return oauthRefusal(400, INVALID, "Invalid 'api-version' requested");
  }
  if (single(query, "resource") === undefined) {
    return oauthRefusal(400, INVALID, "Required query variable 'resource' is missing");
  }
  return undefined;
}

async function grant(request, issue, site) {
  const { query } = request;
  const { problem, named, identity } = readIdentity(query, ID_SPELLINGS, (kind, id) =>
    site.identities.find(kind, id),
  );
  if (problem) return oauthRefusal(400, INVALID, problem);
  const principal = named ? identity : site.identities.unnamed();
  if (!principal) {
    const ambiguous = !named && site.identities.userAssigned.length > 1;
    return oauthRefusal(400, INVALID, ambiguous ? AMBIGUOUS : NOT_FOUND);
  }
  const { resource } = query;
  if (!site.knows(resource)) {
    const words = unknownResourceWords(resource, site.tenantId);
    return entraRefusal(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, words, request);
  }
  const token = await issue({ identity: principal, resource, capabilities: readCapabilities(query) });
  return { status: 200, headers: {}, body: metadataGrant(token) };
}

function fail(status, words = STATUS_CODES[status] ?? "Failure") {
  return oauthRefusal(status, status >= 500 ? "server_error" : INVALID, words);
}

module.exports = { fail, open, secure: false };
