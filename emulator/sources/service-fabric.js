"use strict";

// The managed identity token service of a Service Fabric cluster. The cluster decides whose token it is
// from the secret alone; a parameter that names an identity is ignored, as the real one does.
// https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code

const { randomUUID } = require("node:crypto");
const { STATUS_CODES } = require("node:http");
const { readCapabilities, single } = require("../parameters.js");
const { UNKNOWN_RESOURCE, codedRefusal, unknownResourceWords } = require("../error-responses.js");

const PATH = "/metadata/identity/oauth2/token";
// The second is what MSAL.NET sends.
const API_VERSIONS = ["2019-07-01-preview", "2020-05-01"];
const SECRET_HEADER = "secret";

function open(site) {
  return {
    path: PATH,
    env: {
      IDENTITY_ENDPOINT: site.origin + PATH,
      IDENTITY_HEADER: site.secret,
      // Without TLS (`secure: false`) there is none, but the variable still marks the host.
      IDENTITY_SERVER_THUMBPRINT: site.certificate?.thumbprint ?? "0".repeat(40),
    },
    answer: (request, issue) => refuse(request, site) ?? grant(request, issue, site),
  };
}

function refuse({ method, path, query, headers }, site) {
  if (path !== PATH && path !== `${PATH}/`) return refusal(404, "NotFound", "Not found.");
  if (method !== "GET") return refusal(405, "MethodNotAllowed", "Method not allowed.");
  if (headers[SECRET_HEADER] === undefined) {
    return refusal(400, "SecretHeaderNotFound", "Secret is not found in the request headers.");
  }
  if (headers[SECRET_HEADER] !== site.secret || !principalOf(site)) {
    const words = "Managed identity is not found for the specified application host.";
    return refusal(404, "ManagedIdentityNotFound", words);
  }
  const version = single(query, "api-version") ?? "";
  if (!API_VERSIONS.includes(version)) {
    const words = `The api-version '${version}' is not supported. Supported version is '${API_VERSIONS[0]}'.`;
    return refusal(400, "InvalidApiVersion", words);
  }
  const resource = single(query, "resource");
  if (resource === undefined) {
    const words = "The parameter 'resource' should not be null or empty string.";
    return refusal(400, "ArgumentNullOrEmpty", words);
  }
  if (!site.knows(resource)) {
    const words = unknownResourceWords(resource, site.tenantId);
    return refusal(400, UNKNOWN_RESOURCE.error, `AADSTS${UNKNOWN_RESOURCE.code}: ${words}`);
  }
  return undefined;
}

async function grant({ query }, issue, site) {
  const token = await issue({
    identity: principalOf(site),
    resource: query.resource,
    capabilities: readCapabilities(query),
  });
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

function principalOf({ identities }) {
  return identities.all[0];
}

function refusal(status, code, message) {
  return codedRefusal(status, code, message, { correlationId: randomUUID() });
}

function fail(status, words) {
  const name = STATUS_CODES[status] ?? "Failure";
  return refusal(status, name.replaceAll(" ", ""), words ?? `${name}.`);
}

module.exports = { fail, open, secure: true };
