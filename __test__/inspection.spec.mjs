// The text that console.log prints for an application, errors that tests construct, and the recognition of errors of other
// copies of the package and of other realms.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { format, inspect } from "node:util";
import { createContext, runInContext } from "node:vm";
import test from "ava";
import { platformFolder } from "./packaging/packages.mjs";
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

test("inspecting an application shows its identity and source, but no token or secret", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const { accessToken } = await acquire(endpoint, RESOURCE, application);
  await withEnvironment(endpoint.env, () => application.getToken(RESOURCE));
  const options = [
    undefined,
    { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true },
    { compact: false, colors: true },
  ];
  for (const inspectOptions of options) {
    const text = withEnvironment(endpoint.env, () => inspect({ application }, inspectOptions));
    t.true(text.includes("ManagedIdentityApplication"), text);
    t.true(text.includes("system-assigned") && text.includes("AppService"), text);
    t.false(text.includes(accessToken) || text.includes(endpoint.env.IDENTITY_HEADER), "a secret shows");
  }
  t.is(withEnvironment(endpoint.env, () => format("%o", application)).includes(accessToken), false);
  t.is(JSON.stringify(application), "{}");
  t.is(endpoint.requests.length, 1);
});

test("an id is shown only if it has the format of one", (t) => {
  const inspectWith = (ids) =>
    withEnvironment({}, () => inspect(new ManagedIdentityApplication({ managedIdentityIdParams: ids })));
  t.true(inspectWith({ userAssignedClientId: GUID }).includes(`userAssignedClientId: '${GUID}'`));
  t.true(
    inspectWith({ userAssignedId: `/subscriptions/s${PATH}` }).includes(
      `userAssignedResourceId: '/subscriptions/s${PATH}'`,
    ),
  );
  for (const ids of [
    { userAssignedClientId: "hush" },
    { userAssignedObjectId: "/subscriptions/hush hush" },
  ]) {
    t.false(inspectWith(ids).includes("hush"), inspectWith(ids));
    t.true(
      inspectWith(ids).includes(`${Object.keys(ids)[0]}: '<not in the form of an id>'`),
      inspectWith(ids),
    );
  }
});

test("inspecting an application never throws", (t) => {
  const custom = inspect.custom;
  const application = new ManagedIdentityApplication();
  class Subclass extends ManagedIdentityApplication {
    token = "hush";
  }
  const own = inspect(new Subclass());
  t.true(own.startsWith("Subclass {") && !own.includes("hush"), own);
  t.is(inspect({ a: { b: { c: { application } } } }, { depth: 2 }), "{ a: { b: { c: [Object] } } }");
  t.is(application[custom](-1, {}, inspect), "[ManagedIdentityApplication]");
  t.true(application[custom]().startsWith("ManagedIdentityApplication {"));
  const throwing = () => {
    throw new Error("thrown by the test");
  };
  t.is(application[custom](2, {}, throwing), "ManagedIdentityApplication {}");
  Object.defineProperty(application, "constructor", { get: throwing });
  t.is(application[custom](2, {}, inspect), "ManagedIdentityApplication {}");
  t.notThrows(() => inspect(ManagedIdentityApplication.prototype));
  t.notThrows(() => inspect(Object.create(ManagedIdentityApplication.prototype)));
  t.notThrows(() => inspect(new Proxy(new ManagedIdentityApplication(), {}), { showProxy: true }));
  t.notThrows(() => inspect(new Proxy(new ManagedIdentityApplication(), {})));
});

for (const Class of [ManagedIdentityError, CredentialUnavailableError]) {
  test(`new ${Class.name} accepts all details that a test needs`, (t) => {
    const details = {
      message: "A message.",
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
    t.is(error.message, "invalid_request: A message.");
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

test("a constructed error has the same fields as a real one", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const actual = await expectError(t, acquire(endpoint));
  const { message: _, ...details } = actual;
  const constructed = new ManagedIdentityError(actual.errorCode, actual.correlationId, {
    ...details,
    message: actual.errorMessage,
  });
  t.deepEqual(Object.keys(constructed).sort(), Object.keys(actual).sort());
  t.deepEqual({ ...constructed }, { ...actual });
  t.is(constructed.message, actual.message);
});

test("isManagedIdentityError recognizes errors of every copy of the package, and no other value", async (t) => {
  mkdirSync(join(root, "target"), { recursive: true });
  const directory = mkdtempSync(join(root, "target", "copy-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  for (const name of ["dist", "package.json"]) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  const addon = join(directory, "node_modules", `managed-identity-native-${platformFolder()}`);
  mkdirSync(addon, { recursive: true });
  const shared = JSON.stringify(require.resolve("./support/binding.cjs"));
  writeFileSync(join(addon, "index.js"), `module.exports = require(${shared});`);
  const copy = require(join(directory, "dist", "index.js"));
  const foreign = await new copy.ManagedIdentityApplication()
    .acquireToken("nonsense")
    .catch((error) => error);
  t.false(foreign instanceof ManagedIdentityError);
  const own = new CredentialUnavailableError("a", "b");
  class Derived extends ManagedIdentityError {}
  for (const error of [foreign, own, new Derived("a", "b"), new copy.CredentialUnavailableError("a", "b")]) {
    t.true(isManagedIdentityError(error));
    t.true(copy.isManagedIdentityError(error));
  }
  const brand = Symbol.for("managed-identity-native.ManagedIdentityError");
  const throwing = () => {
    throw new Error("thrown by the test");
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
    { ...own },
    { name: "ManagedIdentityError", errorCode: "a", [brand]: true },
    Object.create(ManagedIdentityError.prototype),
    ManagedIdentityError.prototype,
    new Proxy(own, {}),
    new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing }),
    revoked.proxy,
    hostile,
    Object.defineProperty(new Error("x"), brand, { get: throwing }),
    structuredClone(own),
  ]) {
    t.false(isManagedIdentityError(other));
  }
});

test("isManagedIdentityError recognizes errors of another realm", (t) => {
  const context = createContext({ require, process, module: { exports: {} }, __dirname: root, console });
  runInContext(`(${loadInRealm})(globalThis)`, context);
  const error = context.constructed;
  t.false(error instanceof Error);
  t.true(isManagedIdentityError(error));
});

/** Loads the package's own code in another realm, as Jest does. The function is sent there as source text. */
function loadInRealm(realm) {
  const { readFileSync } = realm.require("node:fs");
  const text = readFileSync(`${realm.__dirname}/dist/index.js`, "utf8");
  const directory = `${realm.__dirname}/dist`;
  const load = new Function("require", "module", "__dirname", "__filename", text);
  load(realm.require, realm.module, directory, `${directory}/index.js`);
  const { ManagedIdentityError: RealmError } = realm.module.exports;
  realm.constructed = new RealmError("some_code", "some-id", { message: "A message." });
}
