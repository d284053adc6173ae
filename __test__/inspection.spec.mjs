// What console.log shows of an application, errors that tests make, and how errors are told across copies and realms.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, inspect } from "node:util";
import { createContext, runInContext } from "node:vm";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const native = require("managed-identity-native");
const {
  CredentialUnavailableError,
  isManagedIdentityError,
  ManagedIdentityApplication,
  ManagedIdentityError,
} = native;

const GUID = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
const PATH = "/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
const root = fileURLToPath(new URL("..", import.meta.url));

test("an application shows its identity and its source, and neither a token nor a secret", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const { accessToken } = await acquire(endpoint, RESOURCE, application);
  await withEnvironment(endpoint.env, () => application.getToken(RESOURCE));
  const options = [
    undefined,
    { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true },
    { compact: false, colors: true },
  ];
  for (const given of options) {
    const text = withEnvironment(endpoint.env, () => inspect({ application }, given));
    t.true(text.includes("ManagedIdentityApplication"), text);
    t.true(text.includes("system-assigned") && text.includes("AppService"), text);
    t.false(text.includes(accessToken) || text.includes(endpoint.env.IDENTITY_HEADER), "a secret shows");
  }
  t.is(withEnvironment(endpoint.env, () => format("%o", application)).includes(accessToken), false);
  t.is(JSON.stringify(application), "{}");
  t.is(endpoint.requests.length, 1);
});

test("an id is shown if it has the form of one", (t) => {
  const shown = (ids) =>
    withEnvironment({}, () => inspect(new ManagedIdentityApplication({ managedIdentityIdParams: ids })));
  t.true(shown({ userAssignedClientId: GUID }).includes(`userAssignedClientId: '${GUID}'`));
  t.true(
    shown({ userAssignedId: `/subscriptions/s${PATH}` }).includes(
      `userAssignedResourceId: '/subscriptions/s${PATH}'`,
    ),
  );
  for (const ids of [
    { userAssignedClientId: "hush" },
    { userAssignedObjectId: "/subscriptions/hush hush" },
  ]) {
    t.false(shown(ids).includes("hush"), shown(ids));
    t.true(shown(ids).includes(`${Object.keys(ids)[0]}: '<not in the form of an id>'`), shown(ids));
  }
});

test("showing never throws", (t) => {
  const custom = inspect.custom;
  const application = new ManagedIdentityApplication();
  class Mine extends ManagedIdentityApplication {
    token = "hush";
  }
  const own = inspect(new Mine());
  t.true(own.startsWith("Mine {") && !own.includes("hush"), own);
  t.is(inspect({ a: { b: { c: { application } } } }, { depth: 2 }), "{ a: { b: { c: [Object] } } }");
  t.is(application[custom](-1, {}, inspect), "[ManagedIdentityApplication]");
  t.true(application[custom]().startsWith("ManagedIdentityApplication {"));
  const failing = () => {
    throw new Error("mine");
  };
  t.is(application[custom](2, {}, failing), "ManagedIdentityApplication {}");
  Object.defineProperty(application, "constructor", { get: failing });
  t.is(application[custom](2, {}, inspect), "ManagedIdentityApplication {}");
  t.notThrows(() => inspect(ManagedIdentityApplication.prototype));
  t.notThrows(() => inspect(Object.create(ManagedIdentityApplication.prototype)));
  t.notThrows(() => inspect(new Proxy(new ManagedIdentityApplication(), {}), { showProxy: true }));
  t.notThrows(() => inspect(new Proxy(new ManagedIdentityApplication(), {})));
});

for (const Class of [ManagedIdentityError, CredentialUnavailableError]) {
  test(`new ${Class.name} with details is what a test needs`, (t) => {
    const details = {
      message: "Some words.",
      statusCode: 429,
      retryable: true,
      source: "Imds",
      endpoint: "http://169.254.169.254/metadata/identity/oauth2/token",
      attempts: 3,
      retryAfterMs: 1_500,
      subError: "finer",
      cause: new RangeError("underneath"),
      metadata: { attempts: 3 },
    };
    const error = new Class("invalid_request", "some-id", details);
    const { message, cause, ...fields } = details;
    t.like(error, fields);
    t.is(error.message, "invalid_request: Some words.");
    t.is(error.errorMessage, message);
    t.is(error.cause, cause);
    t.false(Object.keys(error).includes("cause"));
    t.is(error.correlationId, "some-id");
    t.is(error.name, Class.name);
    t.true(error instanceof Class && error instanceof ManagedIdentityError);
    for (const absent of [undefined, null, {}, { statusCode: undefined, cause: undefined, source: null }]) {
      const plain = new Class("invalid_request", "some-id", absent);
      t.deepEqual(Object.keys(plain), Object.keys(new Class("invalid_request", "some-id")));
      t.false(plain.retryable);
      t.false("cause" in plain);
    }
    const inherited = new Class("invalid_request", "some-id", Object.create({ statusCode: 500 }));
    t.false("statusCode" in inherited);
  });
}

test("an error that a test made has the fields of one that was met", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const met = await expectError(t, acquire(endpoint));
  const { message: _, ...details } = met;
  const made = new ManagedIdentityError(met.errorCode, met.correlationId, {
    ...details,
    message: met.errorMessage,
  });
  t.deepEqual(Object.keys(made).sort(), Object.keys(met).sort());
  t.deepEqual({ ...made }, { ...met });
  t.is(made.message, met.message);
});

test("isManagedIdentityError knows every copy of the package, and whatever else is thrown", async (t) => {
  mkdirSync(join(root, "target"), { recursive: true });
  const folder = mkdtempSync(join(root, "target", "copy-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["dist", "package.json"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  writeFileSync(
    join(folder, "binding.js"),
    `module.exports = require(${JSON.stringify(join(root, "binding.js"))});`,
  );
  const copy = require(join(folder, "dist", "index.js"));
  const foreign = await new copy.ManagedIdentityApplication()
    .acquireToken("nonsense")
    .catch((error) => error);
  t.false(foreign instanceof ManagedIdentityError);
  const mine = new CredentialUnavailableError("a", "b");
  class Derived extends ManagedIdentityError {}
  for (const error of [foreign, mine, new Derived("a", "b"), new copy.CredentialUnavailableError("a", "b")]) {
    t.true(isManagedIdentityError(error));
    t.true(copy.isManagedIdentityError(error));
  }
  const brand = Symbol.for("managed-identity-native.ManagedIdentityError");
  const throwing = () => {
    throw new Error("mine");
  };
  const hostile = Object.setPrototypeOf(
    new Error("x"),
    new Proxy({}, { get: throwing, getPrototypeOf: throwing }),
  );
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  for (const other of [
    undefined,
    null,
    "invalid_resource",
    5,
    {},
    new Error("x"),
    new native.AuthError("a", "b"),
    { ...mine },
    { name: "ManagedIdentityError", errorCode: "a", [brand]: true },
    Object.create(ManagedIdentityError.prototype),
    ManagedIdentityError.prototype,
    new Proxy(mine, {}),
    new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing }),
    revoked.proxy,
    hostile,
    Object.defineProperty(new Error("x"), brand, { get: throwing }),
    structuredClone(mine),
  ]) {
    t.false(isManagedIdentityError(other));
  }
});

test("isManagedIdentityError knows errors of another realm", (t) => {
  const context = createContext({ require, process, module: { exports: {} }, __dirname: root, console });
  runInContext(`(${loadInto})(globalThis)`, context);
  const error = context.made;
  t.false(error instanceof Error);
  t.true(isManagedIdentityError(error));
});

/** What Jest does: the package's own code in a realm of its own. Sent there as its text. */
function loadInto(realm) {
  const { readFileSync } = realm.require("node:fs");
  const text = readFileSync(`${realm.__dirname}/dist/index.js`, "utf8");
  const folder = `${realm.__dirname}/dist`;
  const load = new Function("require", "module", "__dirname", "__filename", text);
  load(realm.require, realm.module, folder, `${folder}/index.js`);
  const { ManagedIdentityError: There } = realm.module.exports;
  realm.made = new There("some_code", "some-id", { message: "Some words." });
}
