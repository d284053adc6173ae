"use strict";

// Entra's token endpoint as a pod on AKS meets it: a service account's token is exchanged for one of a
// user-assigned identity. Unlike the other sources it is a service on the internet, hence https.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case

const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { STATUS_CODES } = require("node:http");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { judgeAssertion, makeAssertion } = require("../client-assertion.js");
const { readClaimedCapabilities, single } = require("../parameters.js");
const { UNKNOWN_RESOURCE, entraRefusal, unknownResourceWords } = require("../error-responses.js");

const GRANT_TYPE = "client_credentials";
const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEFAULT_SCOPE = "/.default";
const OWNER_ONLY = 0o600;

// Entra's numbers for what can be wrong with an assertion, and its words.
const ASSERTION_FAULTS = {
  malformed: [50_027, () => "JWT token is invalid or malformed."],
  issuer: [700_211, unmatched("issuer")],
  subject: [700_213, unmatched("subject")],
  audience: [700_212, unmatched("audience")],
  signature: [50_013, () => "Assertion failed signature validation."],
  expired: [700_024, () => "Client assertion is not within its valid time range."],
};

function unmatched(part) {
  return (value) =>
    `No matching federated identity record found for presented assertion ${part} '${value}'. Please check ` +
    "your federated identity credential Subject, Audience and Issuer against the presented assertion.";
}

function open(site) {
  const directory = mkdtempSync(join(tmpdir(), "emulator-workload-"));
  const write = (name, text) => {
    const file = join(directory, name);
    writeFileSync(file, text, { mode: OWNER_ONLY });
    return file;
  };
  const issueAssertion = (overrides) => makeAssertion(site.keys, site.clock(), overrides);
  const [identity] = site.identities.userAssigned;
  return {
    path: `/${site.tenantId}/oauth2/v2.0/token`,
    env: {
      AZURE_AUTHORITY_HOST: `${site.origin}/`,
      AZURE_FEDERATED_TOKEN_FILE: write("token", issueAssertion()),
      AZURE_TENANT_ID: site.tenantId,
      ...(identity && { AZURE_CLIENT_ID: identity.clientId }),
      ...(site.certificate && { NODE_EXTRA_CA_CERTS: write("ca.pem", site.certificate.pem) }),
    },
    answer: (request, issue) => refuse(request, site) ?? grant(request, issue, site),
    document: (request) => describe(request, site),
    issueAssertion,
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function refuse(request, site) {
  const { method, path } = request;
  const form = request.form ?? {};
  const [, tenant, ...rest] = path.split("/");
  const no = (status, error, code, words) => entraRefusal(status, error, code, words, request);
  if (rest.join("/") !== "oauth2/v2.0/token") return { status: 404, headers: {}, body: "" };
  if (method !== "POST") {
    const words = `The endpoint only accepts POST requests. Received a ${method} request.`;
    return no(400, "invalid_request", 900_561, words);
  }
  if (tenant.toLowerCase() !== site.tenantId.toLowerCase()) {
    const words = `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID.`;
    return no(400, "invalid_request", 90_002, words);
  }
  const missing = ["grant_type", "client_id", "scope"].find((name) => single(form, name) === undefined);
  if (missing) {
    const words = `The request body must contain the following parameter: '${missing}'.`;
    return no(400, "invalid_request", 900_144, words);
  }
  if (form.grant_type !== GRANT_TYPE) {
    const words = `The app requested an unsupported grant type '${form.grant_type}'.`;
    return no(400, "unsupported_grant_type", 70_003, words);
  }
  if (!site.identities.findUserAssigned("clientId", form.client_id)) {
    const words =
      `Application with identifier '${form.client_id}' was not found in the directory '${site.tenantId}'. ` +
      "This can happen if the application has not been installed by the administrator of the tenant or " +
      "consented to by any user in the tenant.";
    return no(400, "unauthorized_client", 700_016, words);
  }
  return refuseAssertion(form, site, no) ?? refuseScope(form, site, no);
}

function refuseAssertion(form, site, no) {
  const assertion = single(form, "client_assertion");
  if (assertion === undefined || form.client_assertion_type !== ASSERTION_TYPE) {
    const words =
      "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
    return no(401, "invalid_client", 7_000_216, words);
  }
  const judgement = judgeAssertion(assertion, site.keys, site.clock());
  if (!judgement) return undefined;
  const [code, words] = ASSERTION_FAULTS[judgement.fault];
  return no(401, "invalid_client", code, words(judgement.value));
}

function refuseScope({ scope }, site, no) {
  if (!scope.endsWith(DEFAULT_SCOPE)) {
    const words =
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value ` +
      "with /.default suffixed to the resource identifier (application ID URI).";
    return no(400, "invalid_scope", 1_002_012, words);
  }
  const resource = resourceOf(scope);
  if (site.knows(resource)) return undefined;
  const words = unknownResourceWords(resource, site.tenantId);
  return no(400, UNKNOWN_RESOURCE.error, UNKNOWN_RESOURCE.code, words);
}

async function grant({ form }, issue, site) {
  const token = await issue({
    identity: site.identities.findUserAssigned("clientId", form.client_id),
    resource: resourceOf(form.scope),
    capabilities: readClaimedCapabilities(form),
  });
  return {
    status: 200,
    headers: {},
    body: {
      token_type: "Bearer",
      expires_in: token.expiresIn,
      ext_expires_in: token.expiresIn,
      access_token: token.accessToken,
    },
  };
}

/** The discovery documents that @azure/identity reads before it asks for a token. */
function describe({ method, path }, { keys, origin, tenantId }) {
  if (method !== "GET") return undefined;
  const base = `${origin}/${tenantId}`;
  if (path === `/${tenantId}/v2.0/.well-known/openid-configuration`) {
    const body = {
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
    };
    return { status: 200, headers: {}, body };
  }
  if (path === `/${tenantId}/discovery/v2.0/keys`) {
    const key = { ...keys.publicKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: keys.keyId };
    return { status: 200, headers: {}, body: { keys: [key] } };
  }
  return undefined;
}

function resourceOf(scope) {
  return scope.slice(0, -DEFAULT_SCOPE.length);
}

function fail(status, words = `${STATUS_CODES[status] ?? "Failure"}.`) {
  const error = status >= 500 ? "temporarily_unavailable" : "invalid_request";
  return entraRefusal(status, error, 90_033, words, { headers: {} });
}

module.exports = { fail, open, secure: true };
