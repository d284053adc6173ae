// The same calls by msal-node and by this package at the same endpoint: the endpoint receives equal requests, except
// for the deviations in docs/wire-protocol.md. Each deviation has a test that names it.
//
// msal-node stores its source in a static field, so each of its cases loads a new module.

import { createRequire } from "node:module";
import test from "ava";
import { arcDirectories } from "./support/arc-namespace.mjs";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, version } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const SYSTEM = {};
const CLIENT_ID = { userAssignedClientId: userAssignedIdentity.clientId };
const OBJECT_ID = { userAssignedObjectId: userAssignedIdentity.objectId };
const RESOURCE_ID = { userAssignedResourceId: userAssignedIdentity.resourceId };
const ALL = [SYSTEM, CLIENT_ID, OBJECT_ID, RESOURCE_ID];

/** The identities that are tested for each source, and the headers that only this source uses. */
const SOURCES = {
  "app-service": { identities: ALL, headers: ["x-identity-header"] },
  imds: { identities: ALL, headers: ["metadata"] },
  "machine-learning": {
    identities: [SYSTEM, CLIENT_ID],
    headers: ["secret", "metadata"],
  },
  "cloud-shell": { identities: [SYSTEM], headers: ["metadata"] },
};

/** Requests that cover everything that affects the wire format. */
const REQUESTS = [
  [{ resource: RESOURCE }],
  [{ resource: "https://storage.azure.com/.default" }],
  [{ resource: "api://8f7d9c1e-0000-4000-8000-000000000001/a b&c=d+e'(é)*~!".replace(" ", "%20") }],
  [{ resource: RESOURCE }, ["cp1", "cp2"]],
  [{ resource: RESOURCE, claims: '{"access_token":{"nbf":{"essential":true}}}' }, ["CP1"]],
  [{ resource: RESOURCE, forceRefresh: true }],
];

/** Acquires tokens with msal-node, with a new module for each case, and reports the results. */
async function acquireWithMsal({ require, argument, report }) {
  for (const { env, configuration, requests } of argument) {
    Object.assign(process.env, env);
    for (const file of Object.keys(require.cache)) {
      if (/[\\/]msal-node[\\/]/.test(file)) delete require.cache[file];
    }
    const { ManagedIdentityApplication } = require("@azure/msal-node");
    try {
      const application = new ManagedIdentityApplication(configuration);
      for (const request of requests) await application.acquireToken(request);
      report({ source: application.getManagedIdentitySource() });
    } catch (error) {
      report({ name: error.name, code: error.errorCode });
    }
    for (const name of Object.keys(env)) delete process.env[name];
  }
}

/** A redirect to another endpoint. */
function redirectTo(other) {
  return { status: 307, headers: { Location: `${other.url}?x=1` }, body: "" };
}

/** The compared parts of a request; of its headers, only those that the source reads. */
function comparable(request, headers) {
  const [, query = ""] = request.rawUrl.split("?");
  return {
    method: request.method,
    path: request.path,
    query: query.replaceAll("%27", "'").split("&"),
    headers: Object.fromEntries(headers.map((name) => [name, request.headers[name]])),
    body: request.body.replaceAll("%27", "'"),
    status: request.status,
  };
}

for (const [source, { identities, headers }] of Object.entries(SOURCES)) {
  test(`${source}: requests for ${identities.length} kinds of identity equal those of msal-node`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const cases = identities.flatMap((managedIdentityIdParams) =>
      REQUESTS.map(([request, clientCapabilities]) => ({
        env: endpoint.env,
        configuration: { managedIdentityIdParams, clientCapabilities },
        requests: [request],
      })),
    );
    const outcomes = await runProcess(t, acquireWithMsal, { argument: cases });
    const msalRequests = endpoint.requests.splice(0);
    for (const { configuration, requests } of cases) {
      const application = new ManagedIdentityApplication(configuration);
      await acquire(endpoint, requests[0], application);
      t.deepEqual(outcomes.shift(), {
        source: withEnvironment(endpoint.env, () => application.getManagedIdentitySource()),
      });
    }
    t.is(msalRequests.length, cases.length);
    for (const [index, request] of msalRequests.entries()) {
      const expected = comparable(request, headers);
      // Deviation: msal-node appends a slash to IMDS's path.
      expected.path = expected.path.replace(/\/$/, "");
      t.deepEqual(comparable(endpoint.requests[index], headers), expected);
      t.is(request.status, 200);
    }
    t.is(endpoint.requests.length, cases.length);
  });
}

test("the path and query of a configured endpoint are preserved as by msal-node", async (t) => {
  const endpoint = await startEndpoint(t);
  const env = { ...endpoint.env, IDENTITY_ENDPOINT: `${endpoint.url}/?own=a%20b&x` };
  await runProcess(t, acquireWithMsal, { argument: [{ env, requests: [{ resource: RESOURCE }] }] });
  await withEnvironment(env, () => new ManagedIdentityApplication().acquireToken(RESOURCE));
  const [expected, actual] = endpoint.requests.map((request) => comparable(request, ["x-identity-header"]));
  t.deepEqual(actual, expected);
  t.deepEqual(actual.query.slice(0, 2), ["own=a%20b", "x"]);
  t.is(actual.status, 200);
});

test("msal-node still behaves as docs/wire-protocol.md says where this package deviates", async (t) => {
  const start = async (source, fault = null) => {
    const endpoint = await startEndpoint(t, source);
    endpoint.always(fault);
    return endpoint;
  };
  const [imds, machineLearning, serviceFabric, target, slash, empty, coded] = await Promise.all([
    start("imds"),
    start("machine-learning"),
    start("service-fabric"),
    start("app-service"),
    start("app-service", { body: (body) => ({ ...body, resource: `${body.resource}/` }) }),
    start("app-service", { body: {} }),
    start("app-service", { status: 400 }),
  ]);
  const redirecting = await start("app-service", redirectTo(target));
  const createCase = ({ env }, managedIdentityIdParams = SYSTEM, times = 1) => ({
    env,
    configuration: { ...NO_RETRIES, managedIdentityIdParams },
    requests: Array(times).fill({ resource: RESOURCE }),
  });
  const outcomes = await runProcess(t, acquireWithMsal, {
    argument: [
      createCase(imds),
      createCase(machineLearning, OBJECT_ID),
      createCase(machineLearning, RESOURCE_ID),
      createCase(serviceFabric),
      createCase(redirecting),
      createCase(slash, SYSTEM, 2),
      createCase(empty),
      createCase(coded),
    ],
  });
  t.deepEqual(outcomes, [
    { source: "DefaultToImds" },
    { name: "Error" },
    { name: "Error" },
    { name: "NetworkError", code: "network_error" },
    { name: "ServerError", code: "ApiVersionUnspecified" },
    { source: "AppService" },
    { source: "AppService" },
    { name: "ServerError", code: "" },
  ]);
  t.is(imds.requests[0].path, "/metadata/identity/oauth2/token/");
  t.is(imds.requests[0].headers["x-client-sku"], "msal.js.node");
  t.deepEqual(machineLearning.requests, []);
  t.deepEqual(serviceFabric.requests, []);
  t.is(target.requests.length, 1);
  t.true("x-identity-header" in target.requests[0].headers);
  t.is(slash.requests.length, 2);
});

/**
 * Acquires tokens from Azure Arc's agent with both packages in the same process; reports the result and requests of each.
 */
async function acquireFromArc({ native, require, argument, report }) {
  const { startEmulator } = require("managed-identity-native/emulator");
  const endpoint = await startEmulator({ source: "azure-arc", tokensDirectory: argument.tokens });
  Object.assign(process.env, endpoint.env);
  const comparable = (requests) =>
    requests.map(({ method, rawUrl, headers, status }) => {
      const { metadata, authorization } = headers;
      return { method, rawUrl, metadata, hasKey: authorization?.startsWith("Basic "), status };
    });
  for (const managedIdentityIdParams of argument.identities) {
    for (const file of Object.keys(require.cache)) {
      if (/[\\/]msal-node[\\/]/.test(file)) delete require.cache[file];
    }
    const outcomes = [];
    for (const { ManagedIdentityApplication } of [require("@azure/msal-node"), native]) {
      const application = new ManagedIdentityApplication({ managedIdentityIdParams });
      await application.acquireToken({ resource: argument.resource });
      outcomes.push({
        source: application.getManagedIdentitySource(),
        requests: comparable(endpoint.requests.splice(0)),
      });
    }
    report(outcomes);
  }
  await endpoint.close();
}

testWith(test, "own directories of Azure Arc")(
  "azure-arc: requests for every kind of id equal those of msal-node",
  async (t) => {
    const { command, env, keys } = arcDirectories(t);
    const argument = { tokens: keys, identities: ALL, resource: RESOURCE };
    const outcomes = await runProcess(t, acquireFromArc, { argument, command, env });
    t.is(outcomes.length, 4);
    for (const [expected, actual] of outcomes) {
      t.deepEqual(actual, expected);
      t.is(actual.source, "AzureArc");
      t.deepEqual(
        actual.requests.map(({ status }) => status),
        [401, 200],
      );
    }
  },
);

testWith(test, "extra trust roots")(
  "deviation: every request has Accept, Accept-Encoding and User-Agent; only requests with a body have Content-Type, without charset",
  async (t) => {
    for (const source of ["app-service", "imds", "machine-learning", "cloud-shell", "workload-identity"]) {
      const endpoint = await startEndpoint(t, source);
      await acquire(endpoint);
      const [{ headers, method }] = endpoint.requests;
      t.is(headers.accept, "application/json");
      t.is(headers["user-agent"], `managed-identity-native/${version}`);
      const type = method === "POST" ? "application/x-www-form-urlencoded" : undefined;
      t.is(headers["content-type"], type, source);
      t.is(headers["accept-encoding"], "identity");
    }
  },
);

test("deviation: IMDS receives the name of this package", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  await acquire(endpoint);
  const [{ headers }] = endpoint.requests;
  t.is(headers["x-client-sku"], "managed-identity-native");
  t.is(headers["x-client-ver"], version);
});

test("deviation: the base URL of IMDS is not lower-cased, and its trailing slashes are removed", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: `${endpoint.origin}/Proxy//` };
  endpoint.always({ status: 400 });
  const promise = withEnvironment(env, () =>
    new ManagedIdentityApplication(NO_RETRIES).acquireToken(RESOURCE),
  );
  await expectError(t, promise, "invalid_request");
  t.is(endpoint.requests[0].path, "/Proxy/metadata/identity/oauth2/token");
});

test("deviation: Machine Learning rejects object ids and resource ids with an error code", async (t) => {
  const endpoint = await startEndpoint(t, "machine-learning");
  for (const managedIdentityIdParams of [OBJECT_ID, RESOURCE_ID]) {
    const error = await expectError(
      t,
      acquireWithoutRetries(endpoint, RESOURCE, { managedIdentityIdParams }),
      "invalid_managed_identity_id_type",
    );
    t.is(error.source, "MachineLearning");
  }
  t.deepEqual(endpoint.requests, []);
});

test("deviation: Machine Learning's clientid is omitted if there is none", async (t) => {
  const endpoint = await startEndpoint(t, "machine-learning");
  const { DEFAULT_IDENTITY_CLIENT_ID: _, ...env } = endpoint.env;
  await withEnvironment(env, () => new ManagedIdentityApplication().acquireToken(RESOURCE));
  t.deepEqual(Object.keys(endpoint.requests[0].query), ["api-version", "resource"]);
});

test("deviation: Cloud Shell rejects a user-assigned identity in every call", async (t) => {
  const endpoint = await startEndpoint(t, "cloud-shell");
  await acquire(endpoint);
  for (const managedIdentityIdParams of [CLIENT_ID, OBJECT_ID, RESOURCE_ID]) {
    const application = new ManagedIdentityApplication({ managedIdentityIdParams });
    for (const _ of [1, 2]) {
      const error = await expectError(
        t,
        acquire(endpoint, RESOURCE, application),
        "unable_to_create_cloud_shell",
      );
      t.is(error.source, "CloudShell");
    }
  }
  t.is(endpoint.requests.length, 1);
});

test("deviation: Service Fabric rejects a user-assigned identity", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  for (const managedIdentityIdParams of [CLIENT_ID, OBJECT_ID, RESOURCE_ID]) {
    const promise = acquireWithoutRetries(endpoint, RESOURCE, { managedIdentityIdParams });
    const error = await expectError(t, promise, "user_assigned_not_available_at_runtime");
    t.is(error.source, "ServiceFabric");
  }
  t.deepEqual(endpoint.requests, []);
});

test("deviation: Service Fabric works, verified by its thumbprint; msal-node cannot connect", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  t.is((await acquire(endpoint)).fromCache, false);
  t.is(endpoint.requests.length, 1);
});

testWith(test, "extra trust roots")("deviation: workload identity takes precedence over IMDS", async (t) => {
  const endpoint = await startEndpoint(t, "workload-identity");
  await acquire(endpoint);
  t.is(
    withEnvironment(endpoint.env, () => new ManagedIdentityApplication().getManagedIdentitySource()),
    "WorkloadIdentity",
  );
  t.is(endpoint.requests.length, 1);
});

test("deviation: an endpoint must be an http or https URL; data: is rejected", async (t) => {
  const body = Buffer.from(JSON.stringify({ access_token: "x", expires_in: 3600 })).toString("base64");
  const env = { IDENTITY_ENDPOINT: `data:application/json;base64,${body}`, IDENTITY_HEADER: "x" };
  const promise = withEnvironment(env, () =>
    new ManagedIdentityApplication(NO_RETRIES).acquireToken(RESOURCE),
  );
  await expectError(t, promise, "identity_endpoint_url_malformed");
});

test("deviation: redirects are not followed, so that no secret is sent to another server", async (t) => {
  const endpoint = await startEndpoint(t);
  const other = await startEndpoint(t);
  endpoint.always(redirectTo(other));
  await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
  t.deepEqual(other.requests, []);
});

test("deviation: a token is cached under the requested resource", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ body: (body) => ({ ...body, resource: `${body.resource}/` }) });
  const application = new ManagedIdentityApplication();
  const { scopes } = await acquire(endpoint, RESOURCE, application);
  t.deepEqual(scopes, [RESOURCE]);
  t.true((await acquire(endpoint, RESOURCE, application)).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("deviation: a 200 without a token is an error", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ body: {} });
  await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
});

test("deviation: an error of App Service has a code", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
});

test("deviation: a 503 whose body is not JSON is retried", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 503, body: "<html>busy</html>" });
  const { fromCache } = await acquire(endpoint);
  t.false(fromCache);
  t.is(endpoint.requests.length, 2);
});

test("deviation: each application has its own source, identity and retry option", async (t) => {
  const [first, second] = await Promise.all([startEndpoint(t, "app-service"), startEndpoint(t, "imds")]);
  await acquire(first);
  await acquire(second);
  t.deepEqual([first.requests.length, second.requests.length], [1, 1]);
  second.next({ status: 400, body: "" });
  await expectError(
    t,
    acquireWithoutRetries(second, { resource: RESOURCE, forceRefresh: true }),
    "managed_identity_failed_response",
  );
  second.next({ status: 500, body: "" });
  await acquire(second, { resource: RESOURCE, forceRefresh: true });
  t.is(second.requests.length, 4);
});

test("deviation: getManagedIdentitySource and acquireToken treat empty variables alike", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const env = { ...endpoint.env, IDENTITY_ENDPOINT: "", IDENTITY_HEADER: "", MSI_ENDPOINT: "" };
  const application = new ManagedIdentityApplication();
  t.is(
    withEnvironment(env, () => application.getManagedIdentitySource()),
    "DefaultToImds",
  );
  await withEnvironment(env, () => application.acquireToken(RESOURCE));
  t.is(endpoint.requests.length, 1);
});

test("deviation: a hundred concurrent calls send one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const calls = Array.from({ length: 100 }, () => acquire(endpoint));
  await Promise.all(calls);
  t.is(endpoint.requests.length, 1);
});
