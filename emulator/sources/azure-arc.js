"use strict";

// The agent (himds) of a server that is connected through Azure Arc. It answers only a caller who can
// read a key file that only privileged users may read.
// https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication

const { randomBytes, randomUUID } = require("node:crypto");
const { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } = require("node:fs");
const { STATUS_CODES } = require("node:http");
const { tmpdir } = require("node:os");
const { dirname, join, resolve } = require("node:path");
const { metadataGrant } = require("../token-responses.js");
const { readCapabilities, readIdentity, single } = require("../parameters.js");
const { UNKNOWN_RESOURCE, entraRefusal, oauthRefusal, unknownResourceWords } = require("../error-responses.js");

const PATH = "/metadata/identity/oauth2/token";
const API_VERSIONS = ["2021-02-01", "2020-06-01", "2019-11-01", "2019-08-15"];
const ID_SPELLINGS = { client_id: "clientId", object_id: "objectId", msi_res_id: "resourceId" };
const SCHEME = "Basic ";
const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;

const INVALID = "invalid_request";
const NOT_FOUND = "Identity not found";

function open(site) {
  const keys = openKeys(site.tokensDirectory);
  return {
    path: PATH,
    env: { IDENTITY_ENDPOINT: site.origin + PATH, IMDS_ENDPOINT: site.origin },
    answer: (request, issue) => refuse(request) ?? challenge(request, keys) ?? grant(request, issue, site),
    close: () => keys.close(),
  };
}

/** The key files: one for each challenge, good for one answer. */
function openKeys(configured) {
  const directory =
    configured === undefined ? mkdtempSync(join(tmpdir(), "emulator-arc-")) : resolve(configured);
  // What is missing is made, from here on down; what was there before is somebody else's.
  const made = configured === undefined ? directory : mkdirSync(directory, { recursive: true });
  const files = new Map();
  return {
    write() {
      const key = randomBytes(KEY_BYTES).toString("base64");
      const file = join(directory, `${randomUUID()}.key`);
      writeFileSync(file, key, { mode: OWNER_ONLY });
      files.set(key, file);
      return file;
    },
    accept(key) {
      const file = files.get(key);
      if (file === undefined) return false;
      files.delete(key);
      rmSync(file, { force: true });
      return true;
    },
    close() {
      for (const file of files.values()) rmSync(file, { force: true });
      if (made !== undefined) removeEmpty(directory, made);
    },
  };
}

/** Removes `directory` and its parents up to `topmost`, or as far as nothing else is in them. */
function removeEmpty(directory, topmost) {
  try {
    rmdirSync(directory);
  } catch {
    return;
  }
  if (directory !== topmost) removeEmpty(dirname(directory), topmost);
}

function refuse({ method, path, query, headers }) {
  if (path !== PATH && path !== `${PATH}/`) return oauthRefusal(404, "not_found", "Not found");
  if (method !== "GET") return oauthRefusal(405, "method_not_allowed", "Method not allowed");
  if (headers.metadata?.toLowerCase() !== "true") {
    return oauthRefusal(400, INVALID, "Required metadata header not specified");
  }
  const version = single(query, "api-version");
  if (!API_VERSIONS.includes(version)) {
    const problem = version === undefined ? "not specified" : "not supported";
    const words = `The api-version ${problem}. Supported are ${API_VERSIONS.join(" ")}`;
    return oauthRefusal(400, INVALID, words);
  }
  if (single(query, "resource") === undefined) {
    return oauthRefusal(400, INVALID, "Required query variable 'resource' is missing");
  }
  return undefined;
}

function challenge({ headers }, keys) {
  const { authorization } = headers;
  if (authorization?.startsWith(SCHEME) && keys.accept(authorization.slice(SCHEME.length))) return undefined;
  const problem = authorization === undefined ? "Missing" : "Invalid";
  const refusal = oauthRefusal(401, "unauthorized_client", `${problem} Basic Authorization header`);
  refusal.headers["WWW-Authenticate"] = `${SCHEME}realm=${keys.write()}`;
  return refusal;
}

async function grant(request, issue, site) {
  const { query } = request;
  const { problem, named, identity } = readIdentity(query, ID_SPELLINGS, (kind, id) =>
    site.identities.find(kind, id),
  );
  if (problem) return oauthRefusal(400, INVALID, problem);
  const principal = named ? identity : site.identities.unnamed();
  if (!principal) return oauthRefusal(400, INVALID, NOT_FOUND);
  const { resource } = query;
  if (!site.knows(resource)) {
    const words = unknownResourceWords(resource, site.tenantId);
    return entraRefusal(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, words, request);
  }
  const token = await issue({ identity: principal, resource, capabilities: readCapabilities(query) });
  // By these a client sees that the agent knows user-assigned identities; an older one ignores the id.
  const echo = named ? { object_id: principal.objectId, msi_res_id: principal.resourceId } : {};
  return { status: 200, headers: {}, body: { ...metadataGrant(token), ...echo } };
}

function fail(status, words = STATUS_CODES[status] ?? "Failure") {
  return oauthRefusal(status, status >= 500 ? "server_error" : INVALID, words);
}

module.exports = { fail, open, secure: false };
