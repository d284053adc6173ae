"use strict";

// Azure Cloud Shell. Its tokens belong to the user of the shell, so no identity can be named; a parameter
// that names one is ignored, as the real one does.
// https://learn.microsoft.com/azure/cloud-shell/msi-authorization

const { STATUS_CODES } = require("node:http");
const { readCapabilities, single } = require("../parameters.js");
const { codedRefusal } = require("../error-responses.js");

const PATH = "/oauth2/token";

const NO_METADATA = "bad_request_102";
const INVALID = "invalid_request";
const UNKNOWN_AUDIENCE = "AudienceNotSupported";

function open(site) {
  return {
    path: PATH,
    env: { MSI_ENDPOINT: site.origin + PATH },
    answer: (request, issue) => refuse(request, site) ?? grant(request, issue, site),
  };
}

function refuse({ method, path, form, headers }, site) {
  if (path !== PATH && path !== `${PATH}/`) return codedRefusal(404, "not_found", "Not found");
  if (method !== "POST") return codedRefusal(405, "method_not_allowed", "Method not allowed");
  if (headers.metadata?.toLowerCase() !== "true") {
    return codedRefusal(400, NO_METADATA, "Required metadata header not specified");
  }
  const resource = form && single(form, "resource");
  if (!resource) return codedRefusal(400, INVALID, "Required parameter 'resource' is missing");
  if (!site.knows(resource)) {
    return codedRefusal(400, UNKNOWN_AUDIENCE, `Audience ${resource} is not a supported MSI token audience.`);
  }
  if (!site.identities.unnamed()) return codedRefusal(400, INVALID, "Identity not found");
  return undefined;
}

async function grant({ form, query }, issue, site) {
  const token = await issue({
    identity: site.identities.unnamed(),
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

function fail(status, words = STATUS_CODES[status] ?? "Failure") {
  return codedRefusal(status, status >= 500 ? "server_error" : INVALID, words);
}

module.exports = { fail, open, secure: false };
