// Ways to select an identity besides the three options of msal-node: the environment, the factory methods of MSAL.NET,
// an id whose kind is detected, and a `scopes` array.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const {
  ManagedIdentityApplication,
  ManagedIdentityError,
  ManagedIdentityId,
} = require("managed-identity-native");

const CLIENT_ID = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
const RESOURCE_ID =
  "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";

/** The parameters with which an application names its identity to App Service. */
async function identityParameters(t, application) {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 }); // The emulator does not have these identities.
  await expectError(t, acquire(endpoint, RESOURCE, application));
  const [{ query }] = endpoint.requests;
  const { "api-version": _, resource: __, ...identity } = query;
  return identity;
}

/** `MANAGED_IDENTITY` in the format of MSAL Python's sample. */
function variable(type, id) {
  return { MANAGED_IDENTITY: JSON.stringify({ ManagedIdentityIdType: type, Id: id }) };
}

const ENVIRONMENTS = [
  ["nothing", {}, {}],
  ["AZURE_CLIENT_ID", { AZURE_CLIENT_ID: CLIENT_ID }, { client_id: CLIENT_ID }],
  ["SystemAssigned", variable("SystemAssigned", null), {}],
  [
    "SystemAssigned before AZURE_CLIENT_ID",
    { ...variable("SystemAssigned"), AZURE_CLIENT_ID: CLIENT_ID },
    {},
  ],
  ["ClientId", variable("ClientId", CLIENT_ID), { client_id: CLIENT_ID }],
  ["ObjectId", variable("ObjectId", CLIENT_ID), { object_id: CLIENT_ID }],
  ["ResourceId", variable("ResourceId", RESOURCE_ID), { mi_res_id: RESOURCE_ID }],
];
for (const [name, env, expected] of ENVIRONMENTS) {
  test(`fromEnvironment: ${name}`, async (t) => {
    t.deepEqual(await identityParameters(t, ManagedIdentityApplication.fromEnvironment(env)), expected);
  });
}

test("fromEnvironment reads process.env by default and accepts further options", async (t) => {
  const application = withEnvironment({ AZURE_CLIENT_ID: CLIENT_ID }, () =>
    ManagedIdentityApplication.fromEnvironment(undefined, { clientCapabilities: ["cp1"] }),
  );
  t.deepEqual(await identityParameters(t, application), { client_id: CLIENT_ID, xms_cc: "cp1" });
});

const INVALID = [
  ["an empty AZURE_CLIENT_ID", { AZURE_CLIENT_ID: "" }, "missing_client_id", "AZURE_CLIENT_ID"],
  ["a blank AZURE_CLIENT_ID", { AZURE_CLIENT_ID: "  " }, "missing_client_id", "AZURE_CLIENT_ID"],
  ["text that is not JSON", { MANAGED_IDENTITY: "ClientId" }, "invalid_configuration", "MANAGED_IDENTITY"],
  ["an empty string", { MANAGED_IDENTITY: "" }, "invalid_configuration", "MANAGED_IDENTITY"],
  ["a JSON array", { MANAGED_IDENTITY: "[]" }, "invalid_configuration", "MANAGED_IDENTITY"],
  ["a JSON null", { MANAGED_IDENTITY: "null" }, "invalid_configuration", "MANAGED_IDENTITY"],
  ["no type", { MANAGED_IDENTITY: "{}" }, "invalid_managed_identity_id_type", "MANAGED_IDENTITY"],
  ["an unknown type", variable("Name", "x"), "invalid_managed_identity_id_type", "MANAGED_IDENTITY"],
  ["an array as type", variable(["ClientId"], "x"), "invalid_managed_identity_id_type", "MANAGED_IDENTITY"],
  [
    "an inherited property as type",
    variable("toString", "x"),
    "invalid_managed_identity_id_type",
    "MANAGED_IDENTITY",
  ],
  ["no id", variable("ClientId"), "missing_client_id", "MANAGED_IDENTITY"],
  ["an id that is not a string", variable("ObjectId", 5), "missing_client_id", "MANAGED_IDENTITY"],
];
for (const [name, env, code, named] of INVALID) {
  test(`fromEnvironment rejects ${name}`, (t) => {
    const error = t.throws(() => ManagedIdentityApplication.fromEnvironment(env), {
      instanceOf: ManagedIdentityError,
    });
    t.is(error.errorCode, code);
    t.true(error.errorMessage.includes(named), error.message);
  });
}

const FACTORIES = [
  ["systemAssigned", undefined, {}],
  ["withUserAssignedClientId", CLIENT_ID, { client_id: CLIENT_ID }],
  ["withUserAssignedObjectId", CLIENT_ID, { object_id: CLIENT_ID }],
  ["withUserAssignedResourceId", RESOURCE_ID, { mi_res_id: RESOURCE_ID }],
];
for (const [method, id, expected] of FACTORIES) {
  test(`ManagedIdentityId.${method} is accepted as managedIdentityIdParams`, async (t) => {
    const managedIdentityIdParams = ManagedIdentityId[method](id);
    t.true(managedIdentityIdParams instanceof ManagedIdentityId);
    t.deepEqual(
      await identityParameters(t, new ManagedIdentityApplication({ managedIdentityIdParams })),
      expected,
    );
    if (id === undefined) return;
    for (const unset of [undefined, null, "", " ", 5]) {
      const error = t.throws(() => ManagedIdentityId[method](unset), { instanceOf: ManagedIdentityError });
      t.is(error.errorCode, "missing_client_id");
    }
  });
}

test("userAssignedId: the kind of id is detected by its format", async (t) => {
  const application = (userAssignedId) =>
    new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedId } });
  t.deepEqual(await identityParameters(t, application(CLIENT_ID)), { client_id: CLIENT_ID });
  t.deepEqual(await identityParameters(t, application(RESOURCE_ID)), { mi_res_id: RESOURCE_ID });
  t.deepEqual(await identityParameters(t, application(undefined)), {});
  for (const [id, code] of [
    ["my-identity", "invalid_configuration"],
    ["", "missing_client_id"],
    [5, "missing_client_id"],
  ]) {
    const error = t.throws(() => application(id), { instanceOf: ManagedIdentityError });
    t.is(error.errorCode, code);
    t.true(error.errorMessage.includes("userAssignedId"));
  }
  const both = { userAssignedId: CLIENT_ID, userAssignedClientId: CLIENT_ID };
  const error = t.throws(() => new ManagedIdentityApplication({ managedIdentityIdParams: both }));
  t.is(error.errorCode, "invalid_managed_identity_id_type");
});

test("an array of one scope is a resource", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const scopes = ["https://management.azure.com/.default"];
  const result = await acquire(endpoint, { scopes }, application);
  t.deepEqual(result.scopes, ["https://management.azure.com"]);
  t.true((await acquire(endpoint, { scopes }, application)).fromCache);
  // `resource` takes precedence: msal-node ignores unknown properties of a request.
  const request = { resource: RESOURCE, scopes: ["https://a.example", "https://b.example"] };
  t.deepEqual((await acquire(endpoint, request, application)).scopes, [RESOURCE]);
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.resource),
    ["https://management.azure.com", RESOURCE],
  );
});

test("concurrent calls with different scopes get different tokens", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const resources = ["https://one.example", "https://other.example", "https://one.example"];
  const calls = withFrozenClock(() =>
    resources.map((resource) => acquire(endpoint, { scopes: [`${resource}/.default`] }, application)),
  );
  const results = await Promise.all(calls);
  t.deepEqual(
    results.map(({ scopes }) => scopes),
    resources.map((resource) => [resource]),
  );
  t.not(results[0].accessToken, results[1].accessToken);
  t.is(results[0].accessToken, results[2].accessToken);
  t.is(endpoint.requests.length, 2);
});

test("no scope and several scopes are rejected, without a request", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [scopes, code] of [
    [[], "exactly_one_scope_expected"],
    [["https://a.example", "https://b.example"], "exactly_one_scope_expected"],
    [[5], "invalid_resource"],
    [[""], "invalid_resource"],
    [{}, "invalid_resource"],
    [undefined, "invalid_resource"],
  ]) {
    const error = await expectError(t, acquire(endpoint, { scopes }));
    t.is(error.errorCode, code);
  }
  t.is(endpoint.requests.length, 0);
});

test("getManagedIdentitySourceAsync distinguishes a host with IMDS from one without", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const getSource = (env) =>
    withEnvironment(env, () => new ManagedIdentityApplication().getManagedIdentitySourceAsync());
  t.is(await getSource(endpoint.env), "Imds");
  t.is(endpoint.requests.length, 1);
  t.is(endpoint.requests[0].headers.metadata, undefined);
  t.is(await getSource({ AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1" }), null);
  // Other sources are detected by the environment alone, even if nothing listens.
  t.is(await getSource({ IDENTITY_ENDPOINT: "http://127.0.0.1:1", IDENTITY_HEADER: "x" }), "AppService");
});
