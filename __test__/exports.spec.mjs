// The exports of the package: a single instance of each, the names of msal-node, and classes that behave like its
// classes.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import * as msal from "@azure/msal-node";
import test from "ava";
import "./support/environment.mjs";

const require = createRequire(import.meta.url);
const required = require("managed-identity-native");
const binding = require("./support/binding.cjs");

const NAMES = [
  "AuthError",
  "CredentialUnavailableError",
  "LogLevel",
  "ManagedIdentityApplication",
  "ManagedIdentityError",
  "ManagedIdentityErrorCodes",
  "ManagedIdentityId",
  "ManagedIdentitySourceNames",
  "isManagedIdentityError",
  "version",
];

/** A file of msal-node that it does not export. */
function msalFile(path) {
  const root = require.resolve("@azure/msal-node/package.json").replace(/package\.json$/, "");
  return import(pathToFileURL(`${root}dist/${path}`));
}

/** The codes of a table, those of its inner tables included. */
function codesOf(table) {
  return Object.values(table).flatMap((value) => (typeof value === "string" ? value : codesOf(value)));
}

test("require returns the documented exports, and no others", (t) => {
  t.deepEqual(Object.keys(required).sort(), NAMES);
});

test("the page about the API names every export and every type", (t) => {
  const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
  const types = [...read("index.d.ts").matchAll(/^export (?:declare )?(?:class|interface|type) (\w+)/gm)];
  t.true(types.length > 30);
  const names = new Set([...NAMES, ...types.map(([, name]) => name)]);
  const documented = new Set([...read("docs/api.md").matchAll(/`(\w+)`/g)].map(([, name]) => name));
  t.deepEqual(
    [...names].filter((name) => !documented.has(name)),
    [],
  );
});

test("import gives the same instances, by name and as default", async (t) => {
  for (const specifier of ["managed-identity-native", "../dist/index.js"]) {
    const imported = await import(specifier);
    t.is(imported.default, required);
    for (const name of NAMES) t.is(imported[name], required[name], name);
  }
});

test("require by the package's name gives the same instance", (t) => {
  t.is(require("managed-identity-native"), required);
});

test("version is package.json's", (t) => {
  t.is(required.version, require("../package.json").version);
});

test("the tables are frozen, inner ones too", (t) => {
  const { ManagedIdentityErrorCodes: codes } = required;
  const tables = [
    codes,
    codes.MsiEnvironmentVariableUrlMalformedErrorCodes,
    required.ManagedIdentitySourceNames,
    required.LogLevel,
  ];
  for (const table of tables) t.true(Object.isFrozen(table));
});

test("ManagedIdentityErrorCodes has every key and value of msal-node's, and ours", async (t) => {
  const theirs = { ...(await msalFile("error/ManagedIdentityErrorCodes.mjs")) };
  t.like(required.ManagedIdentityErrorCodes, theirs);
  const own = Object.keys(required.ManagedIdentityErrorCodes).filter((key) => !(key in theirs));
  t.deepEqual(own.sort(), [
    "exactlyOneScopeExpected",
    "invalidConfiguration",
    "invalidResource",
    "invalidServerThumbprint",
    "managedIdentityFailedResponse",
    "managedIdentityUnreachableNetwork",
    "urlParseError",
  ]);
});

test("every code that native code can raise is in ManagedIdentityErrorCodes", (t) => {
  const listed = codesOf(required.ManagedIdentityErrorCodes);
  t.deepEqual(
    binding.errorCodes().filter((code) => !listed.includes(code)),
    [],
  );
  t.is(new Set(listed).size, listed.length);
});

test("ManagedIdentitySourceNames is msal-node's and WORKLOAD_IDENTITY", (t) => {
  t.deepEqual(
    { ...required.ManagedIdentitySourceNames },
    { ...msal.ManagedIdentitySourceNames, WORKLOAD_IDENTITY: "WorkloadIdentity" },
  );
});

test("LogLevel is msal-node's, in both directions", (t) => {
  t.deepEqual({ ...required.LogLevel }, { ...msal.LogLevel });
});

test("AuthError takes msal-node's parameters and has its fields", (t) => {
  const parameters = ["some_code", "some-id", "Some words.", "some_suberror"];
  const [ours, theirs] = [required.AuthError, msal.AuthError].map((Class) => new Class(...parameters));
  t.true(ours instanceof Error);
  for (const field of ["name", "message", "errorCode", "errorMessage", "subError", "correlationId"]) {
    t.is(ours[field], theirs[field], field);
  }
});

test("ManagedIdentityError takes msal-node's parameters and has its fields", async (t) => {
  const { ManagedIdentityError: Theirs } = await msalFile("error/ManagedIdentityError.mjs");
  const ours = new required.ManagedIdentityError("missing_client_id", "some-id");
  const theirs = new Theirs("missing_client_id", "some-id");
  t.true(ours instanceof required.ManagedIdentityError);
  t.true(ours instanceof required.AuthError);
  t.true(ours instanceof Error);
  for (const field of ["name", "errorCode", "subError", "correlationId"]) t.is(ours[field], theirs[field]);
  t.is(ours.message, `${ours.errorCode}: ${ours.errorMessage}`);
  t.is(ours.code, "missing_client_id");
  t.false(ours.retryable);
  for (const field of ["statusCode", "source", "endpoint", "attempts", "cause"])
    t.false(field in ours, field);
});

test("errors and applications can be subclassed", (t) => {
  class Application extends required.ManagedIdentityApplication {
    label = "mine";
  }
  class Failure extends required.ManagedIdentityError {
    label = "mine";
  }
  class Other extends required.AuthError {}
  const application = new Application();
  t.true(application instanceof required.ManagedIdentityApplication);
  t.is(application.label, "mine");
  t.is(application.getManagedIdentitySource(), "DefaultToImds");
  t.true(new Failure("a", "b") instanceof Failure);
  t.is(new Failure("a", "b").label, "mine");
  t.true(new Other("a", "b") instanceof Other);
  t.false(new Other("a", "b") instanceof required.ManagedIdentityError);
});

test("each class has its name", (t) => {
  for (const name of NAMES.filter((name) => /^[A-Z]/.test(name) && typeof required[name] === "function")) {
    t.is(required[name].name, name);
  }
});

test("the classes cannot be called without new", (t) => {
  for (const name of ["ManagedIdentityApplication", "ManagedIdentityError", "AuthError"]) {
    t.throws(() => required[name](), { instanceOf: TypeError }, name);
  }
});
