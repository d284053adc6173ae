// The option `source`: an application uses only these sources, whatever else the environment contains. Also pods with
// an incomplete environment.

import { createRequire } from "node:module";
import test from "ava";
import { SCOPE } from "./support/credential.mjs";
import { NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const {
  ManagedIdentityApplication,
  ManagedIdentityError,
  ManagedIdentitySourceNames,
} = require("managed-identity-native");

const LABELLED_POD = { AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token", AZURE_TENANT_ID: "contoso.example" };
const POD = { ...LABELLED_POD, AZURE_CLIENT_ID: "8f7d9c1e-0000-4000-8000-00000000000b" };
const FORCED = { resource: RESOURCE, forceRefresh: true };

for (const source of ["Imds", "DefaultToImds"]) {
  test(`source ${source} selects the node's identity in a pod with a workload identity`, async (t) => {
    const node = await startEndpoint(t, "imds");
    const application = new ManagedIdentityApplication({ source, ...NO_RETRIES });
    for (const pod of [POD, LABELLED_POD]) {
      const env = { ...pod, ...node.env };
      await withEnvironment(env, () => application.acquireToken(FORCED));
      await withEnvironment(env, () => application.getToken(SCOPE));
      t.is(
        withEnvironment(env, () => application.getManagedIdentitySource()),
        "DefaultToImds",
      );
      t.true((await withEnvironment(env, () => application.isAvailable({ timeout: 60_000 }))).available);
      t.is(
        await withEnvironment(env, () => application.getManagedIdentitySourceAsync({ timeout: 60_000 })),
        "Imds",
      );
    }
  });
}

test("both names of IMDS and detected IMDS share tokens", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const sources = [undefined, "Imds", "DefaultToImds", ["Imds"], ["AppService", "DefaultToImds"]];
  for (const [index, source] of sources.entries()) {
    const application = new ManagedIdentityApplication({ source, ...NO_RETRIES });
    const { fromCache } = await withEnvironment(endpoint.env, () => application.acquireToken(RESOURCE));
    t.is(fromCache, index > 0, `${source}`);
  }
  t.is(endpoint.requests.length, 1);
});

test("the first source in the list whose variables are complete is used, by the environment of each call", async (t) => {
  const [appService, imds] = [await startEndpoint(t), await startEndpoint(t, "imds")];
  const application = new ManagedIdentityApplication({
    source: ["AzureArc", "AppService", "Imds"],
    ...NO_RETRIES,
  });
  const env = { ...imds.env };
  // A new token each time, because memoized tokens are returned without reading the environment.
  const requestsAfterCall = async () => {
    await withEnvironment(env, () => application.acquireToken(FORCED));
    return [appService.requests.length, imds.requests.length];
  };
  t.deepEqual(await requestsAfterCall(), [0, 1]);
  Object.assign(env, appService.env);
  t.deepEqual(await requestsAfterCall(), [1, 1]);
  env.IDENTITY_HEADER = "";
  t.deepEqual(await requestsAfterCall(), [1, 2]);
});

test("variables of the configured sources take effect even if detection would stop before them", async (t) => {
  const appService = await startEndpoint(t);
  const application = new ManagedIdentityApplication({
    source: ["WorkloadIdentity", "AppService"],
    ...NO_RETRIES,
  });
  await withEnvironment(appService.env, () => application.acquireToken(RESOURCE));
  // The pod's variables, which were not set during the first call, select another source than App Service.
  await expectError(
    t,
    withEnvironment({ ...appService.env, ...POD }, () => application.acquireToken(FORCED)),
    "unable_to_read_secret_file",
  );
  // Pending calls in different environments are not shared either.
  const release = appService.hold();
  const [first, second] = [appService.env, { ...appService.env, ...POD }].map((env) =>
    withEnvironment(env, () => application.acquireToken("https://storage.azure.com")),
  );
  await expectError(t, second, "unable_to_read_secret_file");
  release();
  t.is((await first).fromCache, false);
});

test("if the environment has none of the sources: invalid_configuration, and a chain continues", async (t) => {
  const application = new ManagedIdentityApplication({
    source: ["ServiceFabric", "CloudShell"],
    ...NO_RETRIES,
  });
  const { env } = await startEndpoint(t);
  const plain = await expectError(
    t,
    withEnvironment(env, () => application.acquireToken(RESOURCE)),
    "invalid_configuration",
  );
  t.is(plain.name, "ManagedIdentityError");
  for (const part of ["source", "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT"]) {
    t.true(plain.message.includes(part), plain.message);
  }
  const credential = await expectError(
    t,
    withEnvironment(env, () => application.getToken(SCOPE)),
    "invalid_configuration",
  );
  t.is(credential.name, "CredentialUnavailableError");
  t.is(
    withEnvironment(env, () => application.getManagedIdentitySource()),
    "ServiceFabric",
  );
  t.is(await withEnvironment(env, () => application.getManagedIdentitySourceAsync()), null);
  const { available, source, reason } = await withEnvironment(env, () => application.isAvailable());
  t.deepEqual([available, source], [false, "ServiceFabric"]);
  t.true(reason.includes("CloudShell needs MSI_ENDPOINT"), reason);
});

test("every source name is accepted, alone and in an array; other values are rejected by name", (t) => {
  for (const name of Object.values(ManagedIdentitySourceNames)) {
    t.notThrows(() => new ManagedIdentityApplication({ source: name }));
    t.notThrows(() => new ManagedIdentityApplication({ source: Object.freeze([name, "Imds"]) }));
  }
  for (const absent of [undefined, null])
    t.notThrows(() => new ManagedIdentityApplication({ source: absent }));
  for (const source of [
    "",
    "imds",
    "IMDS ",
    "Vault",
    5,
    true,
    {},
    () => "Imds",
    [],
    [undefined],
    ["Imds", "x"],
  ]) {
    const error = t.throws(() => new ManagedIdentityApplication({ source }), {
      instanceOf: ManagedIdentityError,
    });
    t.is(error.code, "invalid_configuration");
    t.regex(error.errorMessage, /^source/);
  }
});

for (const managedIdentityIdParams of [
  undefined,
  { userAssignedObjectId: "x" },
  { userAssignedResourceId: "/x" },
]) {
  const id = Object.keys(managedIdentityIdParams ?? { none: 0 })[0];
  test(`a pod without a client id does not get its node's identity (${id})`, async (t) => {
    const node = await startEndpoint(t, "imds");
    const env = { ...LABELLED_POD, ...node.env };
    const application = new ManagedIdentityApplication({ managedIdentityIdParams, ...NO_RETRIES });
    const calls = [() => application.acquireToken(RESOURCE), () => application.getToken(SCOPE)];
    for (const call of calls) {
      const error = await expectError(t, withEnvironment(env, call), "invalid_configuration");
      t.is(error.name, "ManagedIdentityError");
      t.is(error.source, "WorkloadIdentity");
      const parts = [
        "AZURE_CLIENT_ID",
        "userAssignedClientId",
        "azure.workload.identity/client-id",
        'source: "Imds"',
      ];
      for (const part of parts) t.true(error.message.includes(part), error.message);
    }
    t.is(
      withEnvironment(env, () => application.getManagedIdentitySource()),
      "WorkloadIdentity",
    );
    const { available, reason } = await withEnvironment(env, () => application.isAvailable());
    t.false(available);
    t.true(reason.includes("AZURE_CLIENT_ID"), reason);
    t.deepEqual(node.requests, []);
  });
}

test("a client id that a pod gets later is used", async (t) => {
  const { env } = await startEndpoint(t, "workload-identity");
  const application = new ManagedIdentityApplication(NO_RETRIES);
  await expectError(
    t,
    withEnvironment({ ...env, AZURE_CLIENT_ID: undefined }, () => application.acquireToken(RESOURCE)),
    "invalid_configuration",
  );
  const { available } = await withEnvironment(POD, () => application.isAvailable());
  t.false(available, "the file is missing");
});
