// managed-identity-native/testing: an emulated identity for the tests of a service. The test runners are in
// testing-recipes.spec.mjs.

import test from "ava";
import { ManagedIdentityApplication, ManagedIdentityError } from "managed-identity-native";
import { sources, startEmulator } from "managed-identity-native/emulator";
import { useEmulatedIdentity } from "managed-identity-native/testing";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import "./support/environment.mjs";

const RESOURCE = "https://vault.azure.net";
const HOUR_MS = 3_600_000;
/** Variables of a machine that has every source, with values that are never requested. */
const REAL_MACHINE = {
  IDENTITY_ENDPOINT: "http://127.0.0.1:1/real",
  IDENTITY_HEADER: "real",
  IDENTITY_SERVER_THUMBPRINT: "0".repeat(40),
  MSI_ENDPOINT: "http://127.0.0.1:1/real",
  MSI_SECRET: "real",
  IMDS_ENDPOINT: "http://127.0.0.1:1",
  AZURE_FEDERATED_TOKEN_FILE: "/real",
  AZURE_TENANT_ID: "00000000-0000-4000-8000-000000000000",
  AZURE_CLIENT_ID: "00000000-0000-4000-8000-000000000001",
  AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1",
};
/** Services read these as settings of their own, so they stay. */
const SETTINGS = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"];
const DETECTED = {
  "app-service": "AppService",
  imds: "DefaultToImds",
  "azure-arc": "AzureArc",
  "cloud-shell": "CloudShell",
  "machine-learning": "MachineLearning",
  "service-fabric": "ServiceFabric",
  "workload-identity": "WorkloadIdentity",
};
/** A client of this package reads keys only from the agent's own directory. */
const WITHOUT_TOKENS = ["azure-arc"];

function setEnvironment(t, variables) {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  t.teardown(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });
  return { ...process.env };
}

async function useIdentity(t, options) {
  const identity = await useEmulatedIdentity(options);
  t.teardown(() => identity.restore());
  return identity;
}

// The tests change process.env, so they run one after the other.
for (const source of sources) {
  testWith(test.serial, ...neededBySource(source))(
    `${source}: it is the only source, and the environment is restored`,
    async (t) => {
      const before = setEnvironment(t, REAL_MACHINE);
      const identity = await useEmulatedIdentity({ source });
      const application = new ManagedIdentityApplication();
      t.is(application.getManagedIdentitySource(), DETECTED[source]);
      const own = { ...identity.endpoint.env };
      for (const [name, value] of Object.entries(REAL_MACHINE)) {
        if (own[name] === undefined || own[name] === "") {
          t.is(process.env[name], SETTINGS.includes(name) ? value : undefined, name);
        }
      }
      if (!WITHOUT_TOKENS.includes(source)) {
        const { fromCache } = await application.acquireToken(RESOURCE);
        t.is(fromCache, false);
        t.is(identity.requests.length, 1);
      }
      await identity.restore();
      t.deepEqual({ ...process.env }, before);
    },
  );

  test.serial(`${source}: endpoint.env selects it on a machine that has every source`, async (t) => {
    const before = setEnvironment(t, REAL_MACHINE);
    const endpoint = await startEmulator({ source });
    t.teardown(() => endpoint.close());
    Object.assign(process.env, endpoint.env);
    t.is(new ManagedIdentityApplication().getManagedIdentitySource(), DETECTED[source]);
    for (const name of Object.keys(REAL_MACHINE)) process.env[name] = before[name];
    const restore = endpoint.apply(process.env);
    t.is(new ManagedIdentityApplication().getManagedIdentitySource(), DETECTED[source]);
    restore();
    process.env.IDENTITY_HEADER = "later";
    restore();
    t.is(process.env.IDENTITY_HEADER, "later", "a second call has no effect");
    process.env.IDENTITY_HEADER = before.IDENTITY_HEADER;
    for (const name of Object.keys(REAL_MACHINE)) t.is(process.env[name], before[name], name);
  });
}

test.serial(
  "endpoint.env has no empty variable for a source that was not set, or that takes no precedence",
  async (t) => {
    setEnvironment(t, { MSI_ENDPOINT: "http://127.0.0.1:1/real", AZURE_FEDERATED_TOKEN_FILE: "/real" });
    const emptyOf = async (source) => {
      const { close, env } = await startEmulator({ source }).then((endpoint) => ({
        close: () => endpoint.close(),
        env: endpoint.env,
      }));
      await close();
      return Object.keys(env).filter((name) => env[name] === "");
    };
    t.deepEqual(await emptyOf("app-service"), []);
    t.deepEqual(await emptyOf("azure-arc"), ["MSI_ENDPOINT"]);
    t.deepEqual(await emptyOf("imds"), ["MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"]);
  },
);

test.serial("apply needs an environment", async (t) => {
  const endpoint = await startEmulator({ source: "imds" });
  t.teardown(() => endpoint.close());
  for (const env of [undefined, null, "env"]) t.throws(() => endpoint.apply(env), { instanceOf: TypeError });
});

testWith(test.serial, "extra trust roots")("workload identity: a proxy is bypassed", async (t) => {
  setEnvironment(t, { HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "internal.example" });
  const identity = await useIdentity(t, { source: "WorkloadIdentity" });
  await new ManagedIdentityApplication().acquireToken(RESOURCE);
  t.is(identity.requests.length, 1);
  await identity.restore();
  t.is(process.env.NO_PROXY, "internal.example");
});

test.serial("without options it is App Service", async (t) => {
  await useIdentity(t);
  t.is(new ManagedIdentityApplication().getManagedIdentitySource(), "AppService");
});

test.serial("clearTokens removes the tokens of this identity only", async (t) => {
  const first = await useEmulatedIdentity();
  const application = new ManagedIdentityApplication();
  await application.acquireToken(RESOURCE);
  const restoreFirst = first.endpoint.apply({});
  restoreFirst();
  // The second identity is in an environment of its own, as that of another worker thread.
  const env = {};
  const second = await useIdentity(t, { env });
  second.clearTokens();
  t.is((await application.acquireToken(RESOURCE)).fromCache, true);
  first.clearTokens();
  t.is((await application.acquireToken(RESOURCE)).fromCache, false);
  t.is(first.requests.length, 2);
  await first.restore();
});

test.serial("a request in flight during clearTokens settles, but its token is not cached", async (t) => {
  const identity = await useIdentity(t);
  const application = new ManagedIdentityApplication();
  const release = identity.hold();
  const early = application.acquireToken(RESOURCE);
  await identity.waitForRequests(1);
  identity.clearTokens();
  const late = application.acquireToken(RESOURCE);
  await identity.waitForRequests(2);
  release();
  const tokens = (await Promise.all([early, late])).map(({ accessToken }) => accessToken);
  t.not(tokens[0], tokens[1]);
  t.is((await application.acquireToken(RESOURCE)).accessToken, tokens[1]);
});

test.serial("an identity on the port of an earlier one does not serve its tokens", async (t) => {
  const first = await useEmulatedIdentity();
  const application = new ManagedIdentityApplication();
  const { accessToken } = await application.acquireToken(RESOURCE);
  const port = Number(new URL(first.endpoint.origin).port);
  await first.restore();
  const { IDENTITY_HEADER: secret } = first.endpoint.env;
  await useIdentity(t, { port, secret });
  const second = await application.acquireToken(RESOURCE);
  t.not(second.accessToken, accessToken);
});

test.serial(
  "fail: every request until the returned function is called, by default without retries",
  async (t) => {
    const identity = await useIdentity(t, { source: "Imds" });
    const application = new ManagedIdentityApplication();
    const recover = identity.fail();
    await t.throwsAsync(application.acquireToken(RESOURCE), { instanceOf: ManagedIdentityError });
    await t.throwsAsync(application.acquireToken(RESOURCE), { instanceOf: ManagedIdentityError });
    t.deepEqual(
      identity.requests.map(({ status }) => status),
      [400, 400],
    );
    const recoverInner = identity.fail({ status: 403 });
    await t.throwsAsync(application.acquireToken(RESOURCE), { message: /403/ });
    recoverInner();
    await t.throwsAsync(application.acquireToken(RESOURCE), { message: /400/ });
    recover();
    recover();
    await application.acquireToken(RESOURCE);
  },
);

test.serial("fail: a list of faults is for the next requests", async (t) => {
  const identity = await useIdentity(t);
  const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
  identity.fail([{ status: 500 }, { status: 502 }]);
  await t.throwsAsync(application.acquireToken(RESOURCE), { message: /500/ });
  await t.throwsAsync(application.acquireToken(RESOURCE), { message: /502/ });
  await application.acquireToken(RESOURCE);
});

test.serial("tokens are dated by a replaced Date.now", async (t) => {
  const identity = await useIdentity(t, { lifetimeSeconds: 3_600 });
  const application = new ManagedIdentityApplication();
  const { now } = Date;
  const offset = 100 * 24 * HOUR_MS;
  Date.now = () => now() + offset;
  t.teardown(() => {
    Date.now = now;
  });
  const { expiresOn } = await application.acquireToken(RESOURCE);
  t.true(Math.abs(expiresOn.getTime() - Date.now() - HOUR_MS) < 60_000);
  Date.now = () => now() + offset + 2 * HOUR_MS;
  await application.acquireToken(RESOURCE);
  t.is(identity.requests.length, 2);
});

test.serial("it can be disposed of, and restored twice", async (t) => {
  const identity = await useEmulatedIdentity();
  const { origin } = identity.endpoint;
  await identity[Symbol.asyncDispose]();
  t.is(identity.restore(), identity.restore());
  await identity.restore();
  t.is(process.env.IDENTITY_ENDPOINT, undefined);
  await t.throwsAsync(fetch(origin));
});

const INVALID = [
  [null, /the options must be an object/],
  ["AppService", /the options must be an object/],
  [{ source: "Iis" }, /"source" must be one of/],
  [{ port: -1 }, /"port" must be an integer/],
  [{ clock: () => 0 }, /"clock" is not an option/],
  [{ env: null }, /"env" must be an object/],
];
for (const [options, message] of INVALID) {
  test.serial(`invalid options are rejected: ${JSON.stringify(options)}`, async (t) => {
    const before = { ...process.env };
    const error = await t.throwsAsync(useEmulatedIdentity(options), {
      instanceOf: ManagedIdentityError,
      code: "invalid_configuration",
      message,
    });
    t.regex(error.message, /useEmulatedIdentity: /);
    t.deepEqual({ ...process.env }, before);
  });
}

test.serial("invalid faults are rejected, and change nothing", async (t) => {
  const identity = await useIdentity(t);
  for (const fault of [null, { status: 42 }, [{ drop: "middle" }]]) {
    t.throws(() => identity.fail(fault), {
      instanceOf: ManagedIdentityError,
      message: /^invalid_configuration: fail: /,
    });
  }
  await new ManagedIdentityApplication().acquireToken(RESOURCE);
});

test.serial("a second identity is rejected while the first is in use", async (t) => {
  const identity = await useIdentity(t);
  await t.throwsAsync(useEmulatedIdentity(), {
    code: "invalid_configuration",
    message: /the previous identity is still in use/,
  });
  await identity.restore();
  const next = await useEmulatedIdentity();
  await next.restore();
});
