"use strict";

// A compute of Azure Machine Learning: App Service's API of 2017, with an integer `expires_on` and a client
// id in every request, also for the machine's own identity.
// https://github.com/Azure/azure-sdk-for-net/issues/40348

const { STATUS_CODES } = require("node:http");
const { readCapabilities, readIdentity, single } = require("../parameters.js");
const { UNKNOWN_RESOURCE, siteRefusal, unknownResourceWords } = require("../error-responses.js");

const PATH = "/MSI/token";
const API_VERSION = "2017-09-01";
const SECRET_HEADER = "secret";
const ID_SPELLINGS = { clientid: "clientId" };

const NOT_FOUND = "No MSI found for specified ClientId/ResourceId.";

function open(site) {
  const { systemAssigned } = site.identities;
  return {
    path: PATH,
    env: {
      MSI_ENDPOINT: site.origin + PATH,
      MSI_SECRET: site.secret,
      ...(systemAssigned && { DEFAULT_IDENTITY_CLIENT_ID: systemAssigned.clientId }),
    },
    answer: (request, issue) => refuse(request, site) ?? grant(request, issue, site),
  };
}

function refuse({ method, path, query, headers }, site) {
  if (path !== PATH && path !== `${PATH}/`) return siteRefusal(404, "Not found");
  if (method !== "GET") return siteRefusal(405, "Method not allowed");
  if (headers[SECRET_HEADER] !== site.secret) return siteRefusal(401, "Unauthorized");
  const version = single(query, "api-version");
  if (version !== API_VERSION) return siteRefusal(400, `Unsupported api-version '${version ?? ""}'.`);
  if (single(query, "resource") === undefined) {
    return siteRefusal(400, "The 'resource' query parameter is required.");
  }
  return undefined;
}

async function grant({ query }, issue, site) {
  const { problem, named, identity } = readIdentity(query, ID_SPELLINGS, (kind, id) =>
    site.identities.find(kind, id),
  );
  if (problem) return siteRefusal(400, problem);
  const principal = named ? identity : site.identities.unnamed();
  if (!principal) return siteRefusal(400, NOT_FOUND);
  const { resource } = query;
  if (!site.knows(resource)) {
    const words = unknownResourceWords(resource, site.tenantId);
    return siteRefusal(400, `AADSTS${UNKNOWN_RESOURCE.code}: ${words}`);
  }
  const token = await issue({ identity: principal, resource, capabilities: readCapabilities(query) });
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

function fail(status, words = STATUS_CODES[status] ?? "Failure") {
  return siteRefusal(status, words);
}

module.exports = { fail, open, secure: false };
