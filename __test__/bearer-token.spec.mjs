// `app.bearerToken(resource, options)`: a function that returns a valid token, regardless of how a driver calls it.

import { createRequire } from "node:module";
import test from "ava";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError, expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

test("each call returns a valid token, from memory if possible", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const token = application.bearerToken(`${RESOURCE}/.default`);
  const callToken = () => withEnvironment(endpoint.env, () => token());
  const first = await callToken();
  t.is(typeof first, "string");
  t.is(await callToken(), first);
  const { accessToken, fromCache } = await withEnvironment(endpoint.env, () =>
    application.acquireToken(RESOURCE),
  );
  t.deepEqual([accessToken, fromCache], [first, true]);
  t.is(endpoint.requests.length, 1);
  t.is(endpoint.requests[0].query.resource, RESOURCE);
});

test("arguments and `this` of the call have no effect", async (t) => {
  const endpoint = await startEndpoint(t);
  const token = new ManagedIdentityApplication().bearerToken(RESOURCE);
  const hostile = new Proxy({}, { get: () => t.fail("a property was read") });
  const calls = {
    "pg, with connection parameters": () => token({ resource: "https://other.example", timeout: 0 }),
    "mysql2, with server data": () => token(Buffer.from("salt"), () => undefined),
    "redis, with a signal": () => token({ signal: AbortSignal.abort(), abortSignal: AbortSignal.abort() }),
    "OpenAI, as a method": () => ({ azureADTokenProvider: token }).azureADTokenProvider(),
    "another resource": () => token("https://other.example"),
    "any `this`": () => token.call(hostile, hostile, hostile),
  };
  const tokens = [];
  for (const call of Object.values(calls)) tokens.push(await withEnvironment(endpoint.env, call));
  t.is(new Set(tokens).size, 1);
  t.is(endpoint.requests.length, 1);
  t.is(token.length, 0);
});

test("the options are those of a request and are read once", async (t) => {
  const endpoint = await startEndpoint(t);
  const controller = new AbortController();
  const options = { abortSignal: controller.signal, resource: "https://other.example" };
  const token = new ManagedIdentityApplication().bearerToken(RESOURCE, options);
  options.abortSignal = AbortSignal.abort();
  await withEnvironment(endpoint.env, () => token());
  t.is(endpoint.requests[0].query.resource, RESOURCE);
  controller.abort("custom reason");
  t.is(await expectRejection(t, token()), "custom reason");
  const forced = new ManagedIdentityApplication().bearerToken(RESOURCE, { forceRefresh: true });
  await withEnvironment(endpoint.env, () => forced());
  await withEnvironment(endpoint.env, () => forced());
  t.is(endpoint.requests.length, 3);
});

test("invalid arguments reject when the function is called; bearerToken itself does not throw", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  for (const [resource, options, code] of [
    ["nonsense", undefined, "invalid_resource"],
    [undefined, undefined, "invalid_resource"],
    [RESOURCE, 5_000, "invalid_configuration"],
    [RESOURCE, "options", "invalid_configuration"],
    [RESOURCE, () => undefined, "invalid_configuration"],
    [RESOURCE, { timeout: "soon" }, "invalid_configuration"],
    [RESOURCE, { signal: AbortSignal.abort() }, "invalid_configuration"],
  ]) {
    const token = application.bearerToken(resource, options);
    await expectError(
      t,
      withEnvironment(endpoint.env, () => token()),
      code,
    );
  }
  t.deepEqual(endpoint.requests, []);
  for (const absent of [undefined, null]) {
    await withEnvironment(endpoint.env, () => application.bearerToken(RESOURCE, absent)());
  }
  t.is(endpoint.requests.length, 1);
});
