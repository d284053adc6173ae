// The responses of each source, errors included, and msal-node as a real client of the emulator. Faults are tested in
// emulator.spec.mjs.

import { execFile } from "node:child_process";
import { verify } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { has } from "./support/capabilities.mjs";
import { loadSource } from "./support/source-module.mjs";

const require = createRequire(import.meta.url);
const {
  startEmulator,
  systemAssignedIdentity: system,
  tenantId,
  userAssignedIdentity: first,
  otherUserAssignedIdentity: second,
} = require("managed-identity-native/emulator");
const { createdDirectories } = await loadSource("emulator/arc-key-store");
const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("..", import.meta.url));

const RESOURCE = "https://vault.azure.net";
const NOW_SECONDS = 1_700_000_000;
const EXPIRY = NOW_SECONDS + 86_400;
const UNKNOWN_ID = "00000000-0000-4000-8000-000000000000";

async function start(t, source, options) {
  const endpoint = await startEmulator({ source, clock: () => NOW_SECONDS * 1000, ...options });
  t.teardown(() => endpoint.close());
  return endpoint;
}

/** A valid request to each source. A test changes single parts; undefined omits a part. */
const VALID_REQUESTS = {
  "app-service": ({ env }) => ({
    query: { "api-version": "2019-08-01", resource: RESOURCE },
    headers: { "X-IDENTITY-HEADER": env.IDENTITY_HEADER },
  }),
  imds: () => ({
    query: { "api-version": "2018-02-01", resource: RESOURCE },
    headers: { Metadata: "true" },
  }),
  "azure-arc": () => ({
    query: { "api-version": "2020-06-01", resource: RESOURCE },
    headers: { Metadata: "true" },
  }),
  "cloud-shell": () => ({ method: "POST", form: { resource: RESOURCE }, headers: { Metadata: "true" } }),
  "machine-learning": ({ env }) => ({
    query: { "api-version": "2017-09-01", resource: RESOURCE },
    headers: { secret: env.MSI_SECRET },
  }),
  "service-fabric": ({ env }) => ({
    query: { "api-version": "2019-07-01-preview", resource: RESOURCE },
    headers: { secret: env.IDENTITY_HEADER },
  }),
  "workload-identity": ({ env }) => ({
    method: "POST",
    form: {
      grant_type: "client_credentials",
      client_id: env.AZURE_CLIENT_ID,
      scope: `${RESOURCE}/.default`,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: readFileSync(env.AZURE_FEDERATED_TOKEN_FILE, "utf8"),
    },
  }),
};

function withoutUndefined(record) {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

/** Sends a valid request with `changes`, and parses the response. */
function send(endpoint, changes = {}) {
  const valid = VALID_REQUESTS[endpoint.source](endpoint);
  const url = new URL(endpoint.url);
  if (changes.path) url.pathname = changes.path;
  const query = Object.entries(withoutUndefined({ ...valid.query, ...changes.query }));
  url.search = new URLSearchParams(query.flatMap(([name, value]) => [value].flat().map((v) => [name, v])));
  const headers = withoutUndefined({ ...valid.headers, ...changes.headers });
  const form =
    valid.form && new URLSearchParams(withoutUndefined({ ...valid.form, ...changes.form })).toString();
  if (form !== undefined) headers["Content-Type"] = "application/x-www-form-urlencoded";
  const method = changes.method ?? valid.method ?? "GET";
  const { request } = endpoint.certificate ? https : http;
  return new Promise((resolve, reject) => {
    request(url, { method, headers, agent: false, ca: endpoint.certificate?.pem })
      .on("error", reject)
      .on("response", async (response) => {
        const text = Buffer.concat(await response.toArray()).toString("utf8");
        const { statusCode: status } = response;
        resolve({
          status,
          headers: response.headers,
          text,
          body: text === "" ? undefined : JSON.parse(text),
        });
      })
      .end(method === "GET" ? undefined : form);
  });
}

/** Verifies the signature of a response's token and returns its claims. */
function verifiedClaims(t, endpoint, { body }) {
  const [header, claims, signature] = body.access_token.split(".");
  const signed = Buffer.from(`${header}.${claims}`);
  t.true(verify("sha256", signed, endpoint.publicKey, Buffer.from(signature, "base64url")));
  return JSON.parse(Buffer.from(claims, "base64url"));
}

/** Expects an error response with this status and body. An object is a part of the body. */
async function expectError(t, endpoint, changes, status, expected) {
  const response = await send(endpoint, changes);
  t.is(response.status, status, JSON.stringify(changes));
  if (expected === undefined) t.is(response.text, "");
  else if (expected instanceof RegExp) t.regex(response.text, expected);
  else t.like(response.body, expected);
  return response;
}

function oauth(error, description) {
  return { error, error_description: description };
}

/** Expects a token of each identity for each of its ids. */
async function expectTokens(t, endpoint, idByParameter, identities) {
  for (const [parameter, kind] of Object.entries(idByParameter)) {
    for (const identity of identities) {
      const response = await send(endpoint, { query: { [parameter]: identity[kind].toUpperCase() } });
      t.is(response.status, 200, parameter);
      t.is(verifiedClaims(t, endpoint, response).oid, identity.objectId);
    }
  }
}

// App Service

test("App Service: sets its variables and returns a token", async (t) => {
  const endpoint = await start(t, "app-service", { secret: "s3cret" });
  t.deepEqual(endpoint.env, { IDENTITY_ENDPOINT: endpoint.url, IDENTITY_HEADER: "s3cret" });
  const { status, headers, body } = await send(endpoint);
  const { access_token, ...rest } = body;
  t.is(status, 200);
  t.is(headers["content-type"], "application/json; charset=utf-8");
  t.is(typeof access_token, "string");
  t.deepEqual(rest, {
    client_id: system.clientId,
    expires_on: String(EXPIRY),
    not_before: String(NOW_SECONDS - 300),
    resource: RESOURCE,
    token_type: "Bearer",
  });
});

test("App Service: finds each identity by each of its ids", async (t) => {
  const endpoint = await start(t, "app-service");
  const idByParameter = {
    client_id: "clientId",
    object_id: "objectId",
    principal_id: "objectId",
    mi_res_id: "resourceId",
  };
  await expectTokens(t, endpoint, idByParameter, [first, second]);
});

test("App Service: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "app-service", { resources: ["https://graph.microsoft.com"] });
  const missing =
    "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.";
  const reject = (changes, status, expected) => expectError(t, endpoint, changes, status, expected);
  await reject({ path: "/msi" }, 404);
  await reject({ method: "POST" }, 405);
  await reject({ headers: { "X-IDENTITY-HEADER": undefined } }, 403);
  await reject({ headers: { "X-IDENTITY-HEADER": "wrong" } }, 403);
  await reject({ query: { "api-version": undefined } }, 400, { error: { code: "ApiVersionUnspecified" } });
  await reject({ query: { "api-version": "2017-09-01" } }, 400, { error: { code: "UnsupportedApiVersion" } });
  await reject({ query: { resource: undefined } }, 400, { statusCode: 400 });
  await reject({ query: { resource: "" } }, 400, /'resource'/);
  await reject({ query: { client_id: UNKNOWN_ID } }, 400, { statusCode: 400, message: missing });
  await reject({ query: { client_id: system.clientId } }, 400, { message: missing });
  await reject({ query: { msi_res_id: first.resourceId } }, 400, /'msi_res_id'.*mi_res_id/);
  await reject(
    { query: { client_id: first.clientId, object_id: first.objectId } },
    400,
    /client_id, object_id/,
  );
  await reject({ query: { client_id: [first.clientId, first.clientId] } }, 400, /Only one/);
  const { headers, body } = await reject(
    {},
    400,
    /AADSTS500011: The resource principal named https:\/\/vault/,
  );
  t.is(headers["x-correlation-id"], body.correlationId);
  t.is((await send(endpoint, { query: { resource: "https://Graph.microsoft.com/" } })).status, 200);
});

test("App Service without a system-assigned identity: requires an id", async (t) => {
  const endpoint = await start(t, "app-service", { systemAssigned: false, identities: [first] });
  await expectError(t, endpoint, {}, 400, { message: "Unable to load the proper Managed Identity." });
  t.is((await send(endpoint, { query: { client_id: first.clientId } })).status, 200);
});

// IMDS

test("IMDS: sets its variables and returns a token", async (t) => {
  const endpoint = await start(t, "imds");
  t.deepEqual(endpoint.env, { AZURE_POD_IDENTITY_AUTHORITY_HOST: endpoint.origin });
  t.is(endpoint.url, `${endpoint.origin}/metadata/identity/oauth2/token`);
  const { access_token, ...rest } = (await send(endpoint)).body;
  t.is(typeof access_token, "string");
  t.deepEqual(rest, {
    client_id: system.clientId,
    expires_in: "86400",
    expires_on: String(EXPIRY),
    ext_expires_in: "86400",
    not_before: String(NOW_SECONDS - 300),
    resource: RESOURCE,
    token_type: "Bearer",
  });
});

test("IMDS: finds each identity by each of its ids", async (t) => {
  const endpoint = await start(t, "imds");
  const idByParameter = { client_id: "clientId", object_id: "objectId", msi_res_id: "resourceId" };
  await expectTokens(t, endpoint, idByParameter, [first, second, system]);
});

test("IMDS: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "imds", { resources: [] });
  const reject = (changes, status, expected) => expectError(t, endpoint, changes, status, expected);
  const invalid = (description) => oauth("invalid_request", description);
  const required = (name) => invalid(`Required query variable '${name}' is missing`);
  await reject({ path: "/metadata/identity" }, 404, { error: "not_found" });
  await reject({ method: "POST" }, 405, { error: "method_not_allowed" });
  await reject({ headers: { Metadata: undefined } }, 400, invalid("Required metadata header not specified"));
  await reject({ headers: { Metadata: "yes" } }, 400, invalid("Required metadata header not specified"));
  await reject({ headers: { "X-Forwarded-For": "10.0.0.1" } }, 400, /X-Forwarded-For/);
  await reject({ query: { "api-version": undefined } }, 400, required("api-version"));
  await reject({ query: { "api-version": "2017-09-01" } }, 400, invalid("Invalid 'api-version' requested"));
  await reject({ query: { "api-version": "2018-02-01x" } }, 400, invalid("Invalid 'api-version' requested"));
  await reject({ query: { resource: undefined } }, 400, required("resource"));
  await reject({ query: { client_id: UNKNOWN_ID } }, 400, invalid("Identity not found"));
  await reject({ query: { object_id: "" } }, 400, invalid("Identity not found"));
  await reject({ query: { mi_res_id: first.resourceId } }, 400, /'mi_res_id'.*msi_res_id/);
  await reject(
    { query: { client_id: first.clientId, object_id: first.objectId } },
    400,
    /client_id, object_id/,
  );
  const correlationId = "4f6e3c1a-9d7b-4e2c-8a5f-0b1d2c3e4f50";
  const { body } = await reject({ headers: { "x-ms-client-request-id": correlationId } }, 400, {
    error: "invalid_resource",
    error_codes: [500_011],
    correlation_id: correlationId,
    error_uri: "https://login.microsoftonline.com/error?code=500011",
  });
  t.true(body.error_description.startsWith(`AADSTS500011: The resource principal named ${RESOURCE} was not`));
  t.true(body.error_description.includes(`Trace ID: ${body.trace_id} Correlation ID: ${correlationId}`));
  t.regex(body.timestamp, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/);
});

test("IMDS, a request without an id: selects the only identity, or is rejected", async (t) => {
  const only = await start(t, "imds", { systemAssigned: false, identities: [second] });
  t.is((await send(only)).body.client_id, second.clientId);
  const several = await start(t, "imds", { systemAssigned: false });
  await expectError(
    t,
    several,
    {},
    400,
    /Multiple user assigned identities exist, please specify the clientId/,
  );
  const none = await start(t, "imds", { systemAssigned: false, identities: [] });
  await expectError(t, none, {}, 400, oauth("invalid_request", "Identity not found"));
});

// Azure Arc

test("Azure Arc on Windows: only created directories are removed, in either form of their paths", (t) => {
  const [tokens, agent, data] = ["C:\\data\\agent\\tokens", "C:\\data\\agent", "C:\\data"];
  const created = (topmost) => createdDirectories(tokens, topmost, "win32");
  t.deepEqual(created(`\\\\?\\${agent}`), [tokens, agent]);
  t.deepEqual(created(agent), [tokens, agent]);
  t.deepEqual(created(`\\\\?\\${tokens}`), [tokens]);
  t.deepEqual(created(`\\\\?\\${data}`), [tokens, agent, data]);
  t.deepEqual(created("D:\\data"), []);
  t.deepEqual(createdDirectories("/data/agent/tokens", "/data/agent", "linux"), [
    "/data/agent/tokens",
    "/data/agent",
  ]);
});

function realmOf({ headers }) {
  return /^Basic realm=(.+)$/.exec(headers["www-authenticate"])[1];
}

test("Azure Arc: sets its variables, and returns a token after the challenge", async (t) => {
  const endpoint = await start(t, "azure-arc");
  t.deepEqual(endpoint.env, { IDENTITY_ENDPOINT: endpoint.url, IMDS_ENDPOINT: endpoint.origin });
  const challenge = await expectError(t, endpoint, {}, 401, { error: "unauthorized_client" });
  const file = realmOf(challenge);
  t.true(file.endsWith(".key"));
  if (has("file permissions")) t.is(statSync(file).mode & 0o777, 0o600);
  const headers = { Authorization: `Basic ${readFileSync(file, "utf8")}` };
  const response = await send(endpoint, { headers });
  t.is(response.status, 200);
  t.deepEqual(Object.keys(response.body), [
    "access_token",
    "client_id",
    "expires_in",
    "expires_on",
    "ext_expires_in",
    "not_before",
    "resource",
    "token_type",
  ]);
  t.is(verifiedClaims(t, endpoint, response).oid, system.objectId);
  t.false(existsSync(file));
  // Each key is valid for one response.
  const again = await expectError(t, endpoint, { headers }, 401, /Invalid Basic/);
  t.not(realmOf(again), file);
  await endpoint.close();
  t.false(existsSync(dirname(file)));
});

test("Azure Arc: the response repeats the ids of a user-assigned identity", async (t) => {
  const endpoint = await start(t, "azure-arc");
  for (const query of [
    { client_id: first.clientId },
    { object_id: first.objectId },
    { msi_res_id: first.resourceId },
  ]) {
    const file = realmOf(await send(endpoint, { query }));
    const headers = { Authorization: `Basic ${readFileSync(file, "utf8")}` };
    t.like((await send(endpoint, { query, headers })).body, {
      client_id: first.clientId,
      object_id: first.objectId,
      msi_res_id: first.resourceId,
    });
  }
});

test("Azure Arc: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "azure-arc", { resources: [] });
  const reject = (changes, status, expected) => expectError(t, endpoint, changes, status, expected);
  await reject({ method: "POST" }, 405, { error: "method_not_allowed" });
  await reject({ headers: { Metadata: undefined } }, 400, /Required metadata header not specified/);
  await reject(
    { query: { "api-version": undefined } },
    400,
    /The api-version not specified. Supported are 2021/,
  );
  await reject({ query: { "api-version": "2018-02-01" } }, 400, /not supported. Supported are/);
  await reject({ query: { resource: undefined } }, 400, /'resource' is missing/);
  for (const [query, message] of [
    [{ client_id: UNKNOWN_ID }, /Identity not found/],
    [{ mi_res_id: first.resourceId }, /'mi_res_id'/],
    [{}, /AADSTS500011/],
  ]) {
    const file = realmOf(await send(endpoint, { query }));
    await reject({ query, headers: { Authorization: `Basic ${readFileSync(file, "utf8")}` } }, 400, message);
  }
});

test("Azure Arc: close keeps tokensDirectory without keys; a fault can replace the challenge", async (t) => {
  const tokensDirectory = mkdtempSync(join(tmpdir(), "emulator-spec-"));
  t.teardown(() => rmSync(tokensDirectory, { recursive: true }));
  const endpoint = await start(t, "azure-arc", { tokensDirectory });
  t.is(dirname(realmOf(await send(endpoint))), tokensDirectory);
  endpoint.next([
    { headers: { "WWW-Authenticate": "Basic realm=/etc/passwd" } },
    { headers: { "www-authenticate": undefined } },
  ]);
  t.is((await send(endpoint)).headers["www-authenticate"], "Basic realm=/etc/passwd");
  t.is((await send(endpoint)).headers["www-authenticate"], undefined);
  await endpoint.close();
  t.deepEqual(readdirSync(tokensDirectory), []);
});

// Cloud Shell

test("Cloud Shell: sets its variables and returns a token", async (t) => {
  const endpoint = await start(t, "cloud-shell");
  t.deepEqual(endpoint.env, { MSI_ENDPOINT: endpoint.url });
  const response = await send(endpoint, { query: { xms_cc: "cp1" } });
  t.deepEqual(verifiedClaims(t, endpoint, response).xms_cc, ["cp1"]);
  const { access_token, ...rest } = response.body;
  t.is(typeof access_token, "string");
  t.deepEqual(rest, {
    refresh_token: "",
    expires_in: "86400",
    expires_on: String(EXPIRY),
    not_before: String(NOW_SECONDS - 300),
    resource: RESOURCE,
    token_type: "Bearer",
  });
});

test("Cloud Shell: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "cloud-shell", { resources: [] });
  const reject = (changes, status, error) => expectError(t, endpoint, changes, status, { error });
  await reject({ method: "GET" }, 405, { code: "method_not_allowed" });
  await reject({ headers: { Metadata: undefined } }, 400, {
    message: "Required metadata header not specified",
  });
  await reject({ form: { resource: undefined } }, 400, { code: "invalid_request" });
  await reject({}, 400, {
    code: "AudienceNotSupported",
    message: `Audience ${RESOURCE} is not a supported MSI token audience.`,
  });
});

// Machine Learning

test("Machine Learning: sets its variables and returns a token", async (t) => {
  const endpoint = await start(t, "machine-learning");
  const { MSI_ENDPOINT, MSI_SECRET, ...more } = endpoint.env;
  t.is(MSI_ENDPOINT, endpoint.url);
  t.regex(MSI_SECRET, /^[0-9A-F]{32}$/);
  t.deepEqual(more, { DEFAULT_IDENTITY_CLIENT_ID: system.clientId });
  const { access_token, ...rest } = (await send(endpoint, { query: { clientid: system.clientId } })).body;
  t.is(typeof access_token, "string");
  t.deepEqual(rest, {
    client_id: system.clientId,
    expires_on: EXPIRY,
    resource: RESOURCE,
    token_type: "Bearer",
  });
  t.is((await send(endpoint, { query: { clientid: second.clientId } })).body.client_id, second.clientId);
  t.is((await send(endpoint)).body.client_id, system.clientId);
});

test("Machine Learning: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "machine-learning", { resources: [], systemAssigned: false });
  const reject = (changes, status, expected) => expectError(t, endpoint, changes, status, expected);
  t.false("DEFAULT_IDENTITY_CLIENT_ID" in endpoint.env);
  await reject({ method: "POST" }, 405, { statusCode: 405 });
  await reject({ headers: { secret: "wrong" } }, 401, { statusCode: 401 });
  await reject({ query: { "api-version": "2019-08-01" } }, 400, /api-version/);
  await reject({ query: { resource: undefined } }, 400, /'resource'/);
  await reject({ query: { client_id: first.clientId } }, 400, /'client_id'.*clientid/);
  await reject({ query: { clientid: UNKNOWN_ID } }, 400, {
    message: "No MSI found for specified ClientId/ResourceId.",
  });
  await reject({}, 400, /No MSI found/);
  await reject({ query: { clientid: first.clientId } }, 400, /AADSTS500011/);
});

// Service Fabric

test("Service Fabric: sets its variables and returns a token, whatever id is sent", async (t) => {
  const endpoint = await start(t, "service-fabric", { secret: "s3cret" });
  t.deepEqual(endpoint.env, {
    IDENTITY_ENDPOINT: endpoint.url,
    IDENTITY_HEADER: "s3cret",
    IDENTITY_SERVER_THUMBPRINT: endpoint.certificate.thumbprint,
  });
  t.true(endpoint.url.startsWith("https://127.0.0.1:"));
  const hash = "cc0af97287543b65da2c7e1476426021826cab166f1e063ed012b855ff819656";
  const response = await send(endpoint, {
    query: { client_id: first.clientId, token_sha256_to_refresh: hash, xms_cc: "cp1" },
  });
  const claims = verifiedClaims(t, endpoint, response);
  t.is(claims.oid, system.objectId);
  t.deepEqual(claims.xms_cc, ["cp1"]);
  t.is(endpoint.requests[0].query.token_sha256_to_refresh, hash);
  const { access_token, ...rest } = response.body;
  t.is(typeof access_token, "string");
  t.deepEqual(rest, { expires_on: EXPIRY, resource: RESOURCE, token_type: "Bearer" });
});

test("Service Fabric: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "service-fabric", { resources: [] });
  const reject = (changes, status, error) => expectError(t, endpoint, changes, status, { error });
  await reject({ method: "POST" }, 405, { code: "MethodNotAllowed" });
  const { body } = await reject({ headers: { secret: undefined } }, 400, {
    code: "SecretHeaderNotFound",
    message: "Secret is not found in the request headers.",
  });
  t.regex(body.error.correlationId, /^[0-9a-f-]{36}$/);
  await reject({ headers: { secret: "wrong" } }, 404, { code: "ManagedIdentityNotFound" });
  await reject({ query: { "api-version": "2018-02-01" } }, 400, { code: "InvalidApiVersion" });
  await reject({ query: { resource: undefined } }, 400, { code: "ArgumentNullOrEmpty" });
  await reject({}, 400, { code: "invalid_resource" });
  endpoint.next({ status: 429 });
  await reject({}, 429, { code: "TooManyRequests" });
});

// AKS workload identity

test("Workload identity: sets its variables and returns a token", async (t) => {
  const endpoint = await start(t, "workload-identity");
  const { AZURE_FEDERATED_TOKEN_FILE, NODE_EXTRA_CA_CERTS, ...rest } = endpoint.env;
  t.deepEqual(rest, {
    AZURE_AUTHORITY_HOST: `${endpoint.origin}/`,
    AZURE_TENANT_ID: tenantId,
    AZURE_CLIENT_ID: first.clientId,
  });
  t.is(endpoint.url, `${endpoint.origin}/${tenantId}/oauth2/v2.0/token`);
  t.is(readFileSync(NODE_EXTRA_CA_CERTS, "utf8"), endpoint.certificate.pem);
  t.is(readFileSync(AZURE_FEDERATED_TOKEN_FILE, "utf8").split(".").length, 3);
  const response = await send(endpoint, { form: { client_id: second.clientId } });
  t.deepEqual(Object.keys(response.body), ["token_type", "expires_in", "ext_expires_in", "access_token"]);
  t.is(response.body.expires_in, 86_400);
  t.like(verifiedClaims(t, endpoint, response), { aud: RESOURCE, oid: second.objectId });
});

test("Workload identity: rejects invalid requests", async (t) => {
  const endpoint = await start(t, "workload-identity", { resources: ["https://graph.microsoft.com"] });
  const reject = (changes, status, error, code) =>
    expectError(t, endpoint, changes, status, { error, error_codes: [code] });
  const rejectAssertion = (overrides, code) =>
    reject({ form: { client_assertion: endpoint.issueAssertion(overrides) } }, 401, "invalid_client", code);
  await expectError(t, endpoint, { path: "/elsewhere" }, 404);
  await reject({ method: "GET" }, 400, "invalid_request", 900_561);
  await reject({ path: `/${UNKNOWN_ID}/oauth2/v2.0/token` }, 400, "invalid_request", 90_002);
  await reject({ form: { scope: undefined } }, 400, "invalid_request", 900_144);
  await reject({ form: { grant_type: "password" } }, 400, "unsupported_grant_type", 70_003);
  await reject({ form: { client_id: UNKNOWN_ID } }, 400, "unauthorized_client", 700_016);
  await reject({ form: { client_assertion: undefined } }, 401, "invalid_client", 7_000_216);
  await reject({ form: { client_assertion_type: "x" } }, 401, "invalid_client", 7_000_216);
  await reject({ form: { client_assertion: "no.jwt" } }, 401, "invalid_client", 50_027);
  await reject({ form: { client_assertion: "no.jwt.either" } }, 401, "invalid_client", 50_027);
  await rejectAssertion({ issuer: "https://elsewhere.invalid/" }, 700_211);
  await rejectAssertion({ subject: "system:serviceaccount:other:one" }, 700_213);
  await rejectAssertion({ audience: "api://other" }, 700_212);
  await rejectAssertion({ expiresIn: 0 }, 700_024);
  const [header, claims] = endpoint.issueAssertion().split(".");
  await reject({ form: { client_assertion: `${header}.${claims}.AAAA` } }, 401, "invalid_client", 50_013);
  await reject({ form: { scope: RESOURCE } }, 400, "invalid_scope", 1_002_012);
  await reject({}, 400, "invalid_resource", 500_011);
  t.is((await send(endpoint, { form: { scope: "https://graph.microsoft.com/.default" } })).status, 200);
});

test("Workload identity: an expired assertion is rejected, and discovery requests are not recorded", async (t) => {
  const endpoint = await start(t, "workload-identity");
  writeFileSync(endpoint.env.AZURE_FEDERATED_TOKEN_FILE, endpoint.issueAssertion({ expiresIn: -1 }));
  await expectError(t, endpoint, {}, 401, { error_codes: [700_024] });
  endpoint.next({ status: 503 });
  const path = `/${tenantId}/v2.0/.well-known/openid-configuration`;
  t.is((await send(endpoint, { method: "GET", path })).body.token_endpoint, endpoint.url);
  t.is(endpoint.requests.length, 1);
});

// A real client

const MSAL_PROGRAM = `
  const { ManagedIdentityApplication } = require("@azure/msal-node");
  (async () => {
    const results = [];
    for (const id of JSON.parse(process.env.IDS)) {
      try {
        const app = new ManagedIdentityApplication({ managedIdentityIdParams: id });
        const token = await app.acquireToken({ resource: "${RESOURCE}", forceRefresh: true });
        results.push({ source: app.getManagedIdentitySource(), token: token.accessToken });
      } catch (error) {
        results.push({ code: error.errorCode, message: error.message });
      }
    }
    console.log(JSON.stringify(results));
  })();`;

/** Acquires a token with msal-node for each of `ids`, in a process of its own. */
async function acquireWithMsal(endpoint, ids) {
  const env = { PATH: process.env.PATH, ...endpoint.env, IDS: JSON.stringify(ids) };
  const { stdout } = await run(process.execPath, ["-e", MSAL_PROGRAM], { cwd: ROOT, env, timeout: 30_000 });
  return JSON.parse(stdout);
}

for (const [source, name] of [
  ["app-service", "AppService"],
  ["imds", "DefaultToImds"],
]) {
  test(`msal-node with ${source}: acquires a token for each kind of id`, async (t) => {
    const endpoint = await start(t, source, { clock: Date.now });
    const results = await acquireWithMsal(endpoint, [
      {},
      { userAssignedClientId: first.clientId },
      { userAssignedObjectId: second.objectId },
      { userAssignedResourceId: first.resourceId },
      { userAssignedClientId: UNKNOWN_ID },
    ]);
    const expected = [system, first, second, first];
    for (const [index, identity] of expected.entries()) {
      t.is(results[index].source, name, JSON.stringify(results[index]));
      const claims = verifiedClaims(t, endpoint, { body: { access_token: results[index].token } });
      t.is(claims.oid, identity.objectId);
      t.is(claims.aud, RESOURCE);
    }
    t.regex(results[4].message, /Identity (not )?found/);
    t.deepEqual(
      endpoint.requests.map(({ status }) => status),
      [200, 200, 200, 200, 400],
    );
  });
}

for (const [source, name] of [
  ["cloud-shell", "CloudShell"],
  ["machine-learning", "MachineLearning"],
]) {
  test(`msal-node with ${source}: acquires a token`, async (t) => {
    const endpoint = await start(t, source, { clock: Date.now });
    const [result] = await acquireWithMsal(endpoint, [{}]);
    t.is(result.source, name, JSON.stringify(result));
    const claims = verifiedClaims(t, endpoint, { body: { access_token: result.token } });
    t.is(claims.oid, system.objectId);
  });
}
