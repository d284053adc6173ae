// `new ManagedIdentityApplication(configuration)`: the values that each option accepts and rejects. Constructing an
// application has no side effects.

import { createRequire } from "node:module";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { acquireWithoutRetries, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

const IDS = ["userAssignedClientId", "userAssignedResourceId", "userAssignedObjectId"];
const TIMEOUTS = ["connectTimeout", "requestTimeout", "totalTimeout"];

/** One value of every JavaScript type, and special values. */
const VALUES = {
  undefined: undefined,
  null: null,
  true: true,
  false: false,
  zero: 0,
  one: 1,
  negative: -1,
  fraction: 1.5,
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  bigint: 1n,
  emptyString: "",
  blankString: " \t",
  string: "text",
  numericString: "1000",
  symbol: Symbol("text"),
  function: () => "text",
  class: class {},
  object: {},
  bareObject: Object.create(null),
  emptyArray: [],
  strings: ["text"],
  mixed: ["text", 1],
  holes: new Array(1),
  nested: [["text"]],
  date: new Date(0),
  map: new Map(),
  error: new Error("text"),
  regularExpression: /text/,
  promise: Promise.resolve(),
  stringObject: Object("text"),
  numberObject: Object(1000),
  buffer: Buffer.from("text"),
};
const ABSENT = ["undefined", "null"];

/** A configuration in which the option at this path has this value. */
function configurationWith(path, value) {
  return path.split(".").reduceRight((inner, key) => ({ [key]: inner }), value);
}

/** Returns the error with which a configuration is rejected, after checking its fields. */
function assertRejected(t, configuration, code, named = []) {
  const error = t.throws(() => new ManagedIdentityApplication(configuration), {
    instanceOf: ManagedIdentityError,
  });
  t.is(error.errorCode, code);
  t.is(error.code, code);
  t.is(error.name, "ManagedIdentityError");
  t.is(error.message, `${code}: ${error.errorMessage}`);
  t.is(error.correlationId, "");
  t.false(error.retryable);
  for (const part of [named].flat()) t.true(error.message.includes(part), error.message);
  return error;
}

function assertAccepted(t, configuration) {
  const application = t.notThrows(() => new ManagedIdentityApplication(configuration));
  t.is(typeof new ManagedIdentityApplication(configuration).acquireToken, "function");
  return application;
}

test("undefined, null and no configuration select the system-assigned identity", (t) => {
  t.notThrows(() => new ManagedIdentityApplication());
  for (const configuration of [undefined, null, {}]) assertAccepted(t, configuration);
});

test("undefined and null mean absent for every option", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const absent of [undefined, null]) {
    const configuration = {
      clientCapabilities: absent,
      managedIdentityIdParams: Object.fromEntries(IDS.map((id) => [id, absent])),
      system: {
        loggerOptions: absent,
        networkClient: absent,
        disableInternalRetries: absent,
        ...Object.fromEntries(TIMEOUTS.map((timeout) => [timeout, absent])),
      },
    };
    assertAccepted(t, configuration);
    assertAccepted(t, { managedIdentityIdParams: absent, system: absent });
    await acquireWithoutRetries(
      endpoint,
      { resource: "https://vault.azure.net", forceRefresh: true },
      configuration,
    );
  }
  for (const { query } of endpoint.requests) t.deepEqual(Object.keys(query), ["api-version", "resource"]);
});

test("unknown keys are ignored, except in managedIdentityIdParams", (t) => {
  assertRejected(
    t,
    { managedIdentityIdParams: { userAssignedName: "x" } },
    "invalid_configuration",
    "userAssignedName",
  );
  assertAccepted(t, {
    auth: { clientId: "x" },
    managedIdentityIdParams: { userAssignedName: undefined },
    system: { proxyUrl: "http://x", protocolMode: "AAD", totalTimeOut: "x" },
  });
});

test("the configuration must be an object", (t) => {
  const fine = [...ABSENT, "object", "bareObject", "date", "map", "error", "regularExpression", "promise"];
  for (const [name, value] of Object.entries(VALUES)) {
    if (fine.includes(name) || ["stringObject", "numberObject", "buffer"].includes(name))
      assertAccepted(t, value);
    else assertRejected(t, value, "invalid_configuration", "configuration");
  }
});

for (const group of ["managedIdentityIdParams", "system"]) {
  test(`${group} must be an object`, (t) => {
    for (const name of ["true", "zero", "emptyString", "string", "symbol", "bigint", "function", "strings"]) {
      assertRejected(t, { [group]: VALUES[name] }, "invalid_configuration", group);
    }
    for (const name of [...ABSENT, "object", "bareObject"]) assertAccepted(t, { [group]: VALUES[name] });
  });
}

for (const id of IDS) {
  test(`${id} must be a non-empty string; other values are missing_client_id`, (t) => {
    for (const [name, value] of Object.entries(VALUES)) {
      const configuration = configurationWith(`managedIdentityIdParams.${id}`, value);
      if ([...ABSENT, "string", "numericString"].includes(name)) assertAccepted(t, configuration);
      else assertRejected(t, configuration, "missing_client_id", id);
    }
  });
}

test("two ids are invalid_managed_identity_id_type, even if one of them is invalid", (t) => {
  for (const one of IDS) {
    for (const other of IDS.filter((id) => id !== one)) {
      for (const value of ["x", "", 5]) {
        const managedIdentityIdParams = { [one]: "x", [other]: value };
        assertRejected(t, { managedIdentityIdParams }, "invalid_managed_identity_id_type", [one, other]);
      }
      assertAccepted(t, { managedIdentityIdParams: { [one]: "x", [other]: undefined } });
      assertAccepted(t, { managedIdentityIdParams: { [one]: "x", [other]: null } });
    }
  }
  const all = Object.fromEntries(IDS.map((id) => [id, "x"]));
  assertRejected(t, { managedIdentityIdParams: all }, "invalid_managed_identity_id_type");
});

test("clientCapabilities must be an array of strings", (t) => {
  for (const [name, clientCapabilities] of Object.entries(VALUES)) {
    if ([...ABSENT, "emptyArray", "strings"].includes(name)) assertAccepted(t, { clientCapabilities });
    else assertRejected(t, { clientCapabilities }, "invalid_configuration", "clientCapabilities");
  }
  assertRejected(t, { clientCapabilities: ["cp1", ""] }, "invalid_configuration", "clientCapabilities[1]");
  assertRejected(t, { clientCapabilities: ["cp1", null] }, "invalid_configuration", "clientCapabilities[1]");
});

test("clientCapabilities are sent as xms_cc, joined by commas; without capabilities it is absent", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquireWithoutRetries(endpoint, undefined, { clientCapabilities: ["cp1", "cp2"] });
  await acquireWithoutRetries(endpoint, undefined, { clientCapabilities: [] });
  t.is(endpoint.requests[0].query.xms_cc, "cp1,cp2");
  t.false("xms_cc" in endpoint.requests[1].query);
});

test("disableInternalRetries must be a boolean", (t) => {
  for (const [name, value] of Object.entries(VALUES)) {
    const configuration = configurationWith("system.disableInternalRetries", value);
    if ([...ABSENT, "true", "false"].includes(name)) assertAccepted(t, configuration);
    else assertRejected(t, configuration, "invalid_configuration", "system.disableInternalRetries");
  }
});

for (const timeout of TIMEOUTS) {
  test(`${timeout} must be a number from 1 to 600,000`, (t) => {
    const path = `system.${timeout}`;
    for (const [name, value] of Object.entries(VALUES)) {
      const configuration = configurationWith(path, value);
      if ([...ABSENT, "one", "fraction"].includes(name)) assertAccepted(t, configuration);
      else assertRejected(t, configuration, "invalid_configuration", path);
    }
    assertAccepted(t, configurationWith(path, 600_000));
    for (const value of [600_001, 0.5, Number.NEGATIVE_INFINITY]) {
      assertRejected(t, configurationWith(path, value), "invalid_configuration", [path, "1", "600000"]);
    }
  });
}

test("the configuration is read once; later changes have no effect", async (t) => {
  const endpoint = await startEndpoint(t);
  const configuration = { clientCapabilities: ["cp1"], managedIdentityIdParams: {} };
  const application = new ManagedIdentityApplication(configuration);
  configuration.clientCapabilities.push("cp2");
  configuration.managedIdentityIdParams.userAssignedClientId = "x";
  await withEnvironment(endpoint.env, () => application.acquireToken("https://vault.azure.net"));
  const { "api-version": _, ...query } = endpoint.requests[0].query;
  t.deepEqual(query, { resource: "https://vault.azure.net", xms_cc: "cp1" });
});

test("frozen, inherited and getter properties of the configuration are read", async (t) => {
  const endpoint = await startEndpoint(t);
  class Configuration {
    get clientCapabilities() {
      return Object.freeze(["cp1"]);
    }
  }
  await acquireWithoutRetries(
    endpoint,
    undefined,
    Object.freeze({ clientCapabilities: Object.freeze(["cp1"]) }),
  );
  await withEnvironment(endpoint.env, () =>
    new ManagedIdentityApplication(new Configuration()).acquireToken("https://storage.azure.com"),
  );
  for (const { query } of endpoint.requests) t.is(query.xms_cc, "cp1");
});

test("an error that a getter of the configuration throws is rethrown unchanged", (t) => {
  const thrown = new RangeError("getter failed");
  const configuration = {
    get system() {
      throw thrown;
    },
  };
  t.is(
    t.throws(() => new ManagedIdentityApplication(configuration)),
    thrown,
  );
});

test("the constructor sends no request, whatever the environment is", async (t) => {
  const endpoint = await startEndpoint(t);
  withEnvironment(endpoint.env, () => new ManagedIdentityApplication());
  withEnvironment({ IDENTITY_ENDPOINT: "nonsense", IDENTITY_HEADER: "x" }, () => {
    t.notThrows(() => new ManagedIdentityApplication());
  });
  await acquireWithoutRetries(endpoint);
  t.is(endpoint.requests.length, 1);
});

const VARIABLES = {
  endpoint: { IDENTITY_ENDPOINT: "http://127.0.0.1:1" },
  header: { IDENTITY_HEADER: "x" },
  thumbprint: { IDENTITY_SERVER_THUMBPRINT: "x" },
  imds: { IMDS_ENDPOINT: "http://127.0.0.1:1" },
  msi: { MSI_ENDPOINT: "http://127.0.0.1:1" },
  secret: { MSI_SECRET: "x" },
  federation: { AZURE_FEDERATED_TOKEN_FILE: "x", AZURE_TENANT_ID: "x" },
  client: { AZURE_CLIENT_ID: "x" },
};
const SOURCES = [
  ["DefaultToImds", []],
  ["ServiceFabric", ["endpoint", "header", "thumbprint", "imds", "msi", "secret", "federation", "client"]],
  ["AppService", ["endpoint", "header", "imds", "msi", "secret", "federation", "client"]],
  ["MachineLearning", ["endpoint", "thumbprint", "imds", "msi", "secret", "federation", "client"]],
  ["CloudShell", ["header", "msi", "imds", "federation", "client"]],
  ["AzureArc", ["endpoint", "imds", "secret", "federation", "client"]],
  ["WorkloadIdentity", ["endpoint", "secret", "federation", "client"]],
  ["WorkloadIdentity", ["federation", "header", "thumbprint", "secret", "imds"]],
  ["DefaultToImds", ["header", "thumbprint", "secret", "imds"]],
  ["DefaultToImds", ["client", "endpoint"]],
];

test("getManagedIdentitySource returns the first configured source, in the order of docs/wire-protocol.md", (t) => {
  const application = new ManagedIdentityApplication();
  for (const [source, sets] of SOURCES) {
    const env = Object.assign({}, ...sets.map((set) => VARIABLES[set]));
    t.is(
      withEnvironment(env, () => application.getManagedIdentitySource()),
      source,
      sets.join(" "),
    );
  }
});

test("getManagedIdentitySource returns WorkloadIdentity also without a client id in the environment", (t) => {
  const source = (managedIdentityIdParams) =>
    withEnvironment(VARIABLES.federation, () =>
      new ManagedIdentityApplication({ managedIdentityIdParams }).getManagedIdentitySource(),
    );
  t.is(source({ userAssignedClientId: "x" }), "WorkloadIdentity");
  t.is(source({ userAssignedObjectId: "x" }), "WorkloadIdentity");
  t.is(source({}), "WorkloadIdentity");
});

test("getManagedIdentitySource treats empty variables as unset", (t) => {
  const env = { ...VARIABLES.endpoint, IDENTITY_HEADER: "", ...VARIABLES.msi, MSI_SECRET: "" };
  t.is(
    withEnvironment(env, () => new ManagedIdentityApplication().getManagedIdentitySource()),
    "CloudShell",
  );
});

testWith(test, "/proc")("require, new and getManagedIdentitySource start no thread", async (t) => {
  const [counts] = await runProcess(t, ({ require, report }) => {
    const { readdirSync } = require("node:fs");
    const threads = () => readdirSync("/proc/self/task").length;
    const before = threads();
    const { ManagedIdentityApplication } = require("managed-identity-native");
    const required = threads();
    const application = new ManagedIdentityApplication({
      managedIdentityIdParams: { userAssignedClientId: "x" },
    });
    application.getManagedIdentitySource();
    ManagedIdentityApplication.clearCache();
    report({ before, required, made: threads() });
  });
  t.is(counts.required, counts.before);
  t.is(counts.made, counts.before);
});
