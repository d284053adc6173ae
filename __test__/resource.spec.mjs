// The resource: which values are valid, and what is sent.

import { createRequire } from "node:module";
import { inspect } from "node:util";
import test from "ava";
import { acquire, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** Each resource, and the value that is sent. */
const RESOURCES = [
  ["https://vault.azure.net", "https://vault.azure.net"],
  ["https://vault.azure.net/", "https://vault.azure.net/"],
  ["https://vault.azure.net/.default", "https://vault.azure.net"],
  ["https://vault.azure.net//.default", "https://vault.azure.net/"],
  ["https://a.example/.default/.default", "https://a.example/.default"],
  ["https://a.example/.default/x", "https://a.example/.default/x"],
  ["https://a.example/.Default", "https://a.example/.Default"],
  ["HTTPS://Vault.Azure.Net/Path", "HTTPS://Vault.Azure.Net/Path"],
  ["http://a.example:8080", "http://a.example:8080"],
  ["https://a.example/../b/./c", "https://a.example/../b/./c"],
  ["https://a.example/%2e%2F", "https://a.example/%2e%2F"],
  ["https://a.example/?x=1&resource=https://b#f", "https://a.example/?x=1&resource=https://b#f"],
  ["https://a.example/+'()*!~", "https://a.example/+'()*!~"],
  ["https://münchen.example/日本", "https://münchen.example/日本"],
  ["https://[::1]:8080/", "https://[::1]:8080/"],
  ["api://AzureADTokenExchange", "api://AzureADTokenExchange"],
  ["api://AzureADTokenExchange/.default", "api://AzureADTokenExchange"],
  ["api://11111111-2222-3333-4444-555555555555", "api://11111111-2222-3333-4444-555555555555"],
  ["urn:example:audience", "urn:example:audience"],
  ["11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-555555555555"],
  ["ABCDEFAB-2222-3333-4444-555555555555/.default", "ABCDEFAB-2222-3333-4444-555555555555"],
];

const INVALID_RESOURCES = [
  "",
  " ",
  "/.default",
  "vault.azure.net",
  "//vault.azure.net",
  "/vault",
  "https",
  "https:",
  "https:/vault",
  "https:vault",
  "https://",
  "https:///path",
  "https://:443",
  "https://?x",
  "api://",
  "urn:",
  ":x",
  "1a:x",
  "ä:x",
  "https://a b",
  " https://a",
  "https://a ",
  "https://a\n",
  "https://a\r\nX: y",
  "https://a\t",
  "https://a\u0000",
  "https://a\u007f",
  "https://a\u0085",
  "https://a\u00a0b",
  "https://a\u2003",
  "https://a\u2028",
  "https://a/\ud800",
  "11111111-2222-3333-4444-55555555555",
  "11111111-2222-3333-4444-5555555555555",
  "g1111111-2222-3333-4444-555555555555",
  "11111111222233334444555555555555",
  "{11111111-2222-3333-4444-555555555555}",
];

const NOT_STRINGS = {
  undefined: undefined,
  null: null,
  zero: 0,
  number: 5,
  NaN: Number.NaN,
  bigint: 1n,
  true: true,
  false: false,
  symbol: Symbol("https://a"),
  function: () => "https://a",
  object: {},
  array: ["https://a"],
  url: new URL("https://a.example"),
  stringObject: Object("https://a"),
  date: new Date(0),
  toString: { toString: () => "https://a" },
  buffer: Buffer.from("https://a"),
};

/** Asserts that a request is rejected, and returns its error. */
async function assertRejected(t, endpoint, request, message) {
  const promise = withEnvironment(endpoint.env, () => new ManagedIdentityApplication().acquireToken(request));
  const error = await expectError(t, promise, "invalid_resource", message);
  t.regex(error.message, /^invalid_resource: The supplied resource is an invalid URL\. [A-Z].*[.?]$/);
  return error;
}

for (const [resource, sent] of RESOURCES) {
  test(`${resource} is sent as ${sent}`, async (t) => {
    const endpoint = await startEndpoint(t);
    const { scopes } = await acquire(endpoint, resource);
    t.deepEqual(scopes, [sent]);
    const [{ query, rawUrl }] = endpoint.requests;
    t.is(query.resource, sent);
    const encoded = /[?&]resource=([^&]*)/.exec(rawUrl)[1];
    t.is(encoded.replaceAll("%27", "'"), encodeURIComponent(sent));
  });
}

test("a resource in an object is the same as a string", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const first = await acquire(endpoint, { resource: "https://a.example/.default" }, application);
  const second = await acquire(endpoint, "https://a.example", application);
  t.deepEqual([first.fromCache, second.fromCache], [false, true]);
  t.is(endpoint.requests.length, 1);
});

test("an invalid resource rejects with invalid_resource, without a request and without throwing", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const resource of INVALID_RESOURCES) {
    for (const request of [resource, { resource }]) {
      const error = await assertRejected(t, endpoint, request, JSON.stringify(resource));
      t.is(`invalid_resource: ${error.errorMessage}`, error.message);
      t.is(error.code, "invalid_resource");
      t.false(error.retryable);
      t.regex(error.correlationId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      for (const field of ["statusCode", "source", "endpoint", "attempts", "cause"]) {
        t.false(field in error, field);
      }
    }
  }
  t.deepEqual(endpoint.requests, []);
});

test("a resource that is not a string is invalid_resource", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [name, value] of Object.entries(NOT_STRINGS)) {
    for (const request of [value, { resource: value }]) {
      await assertRejected(t, endpoint, request, name);
    }
  }
  t.deepEqual(endpoint.requests, []);
});

test("missing and invalid arguments reject without throwing", async (t) => {
  const application = new ManagedIdentityApplication();
  for (const parameters of [[], [undefined], [null], [5], ["nonsense"], [{}]]) {
    let promise;
    t.notThrows(() => {
      promise = application.acquireToken(...parameters);
    });
    t.true(promise instanceof Promise);
    await expectError(t, promise, "invalid_resource");
  }
});

test("the error describes what is wrong with the resource", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [request, beginning] of [
    ["vault.azure.net", "It has no scheme: did you mean https://vault.azure.net?"],
    [undefined, "No resource was given: "],
    [{}, "No resource was given: "],
    [{ resource: {} }, "It is an object; give a string"],
    ["", "It is empty; "],
    [" https://vault.azure.net", "It has leading or trailing white space: "],
  ]) {
    const { errorMessage } = await assertRejected(t, endpoint, request, inspect(request));
    t.true(errorMessage.startsWith(`The supplied resource is an invalid URL. ${beginning}`), errorMessage);
  }
});

test("a very long resource is rejected without a request", async (t) => {
  const endpoint = await startEndpoint(t);
  await assertRejected(t, endpoint, `https://a.example/${"x".repeat(100_000)}`);
  t.deepEqual(endpoint.requests, []);
});

test("U+FEFF counts as white space, as in JavaScript and URLs", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const resource of ["https://a\ufeff", "\ufeffhttps://a"]) await assertRejected(t, endpoint, resource);
  t.deepEqual(endpoint.requests, []);
});
