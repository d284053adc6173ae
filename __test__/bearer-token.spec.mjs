// `app.bearerToken(resource, options)`: a function that gives a valid token, however a driver calls it.

import { createRequire } from "node:module";
import test from "ava";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { within } from "./support/environment.mjs";
import { refusal, rejection } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

test("each call gives a valid token, from memory while it can", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const token = application.bearerToken(`${RESOURCE}/.default`);
  const ask = () => within(endpoint.env, () => token());
  const first = await ask();
  t.is(typeof first, "string");
  t.is(await ask(), first);
  const { accessToken, fromCache } = await within(endpoint.env, () => application.acquireToken(RESOURCE));
  t.deepEqual([accessToken, fromCache], [first, true]);
  t.is(endpoint.requests.length, 1);
  t.is(endpoint.requests[0].query.resource, RESOURCE);
});

test("what a driver calls it with, and on, has no effect", async (t) => {
  const endpoint = await startEndpoint(t);
  const token = new ManagedIdentityApplication().bearerToken(RESOURCE);
  const hostile = new Proxy({}, { get: () => t.fail("it looked") });
  const calls = {
    "pg, with its connection's parameters": () => token({ resource: "https://other.example", timeout: 0 }),
    "mysql2, with the server's data": () => token(Buffer.from("salt"), () => undefined),
    "redis, with a signal": () => token({ signal: AbortSignal.abort(), abortSignal: AbortSignal.abort() }),
    "OpenAI, as a method": () => ({ azureADTokenProvider: token }).azureADTokenProvider(),
    "another resource": () => token("https://other.example"),
    "whatever this is": () => token.call(hostile, hostile, hostile),
  };
  const tokens = [];
  for (const call of Object.values(calls)) tokens.push(await within(endpoint.env, call));
  t.is(new Set(tokens).size, 1);
  t.is(endpoint.requests.length, 1);
  t.is(token.length, 0);
});

test("options are those of a request, read once", async (t) => {
  const endpoint = await startEndpoint(t);
  const controller = new AbortController();
  const options = { abortSignal: controller.signal, resource: "https://other.example" };
  const token = new ManagedIdentityApplication().bearerToken(RESOURCE, options);
  options.abortSignal = AbortSignal.abort();
  await within(endpoint.env, () => token());
  t.is(endpoint.requests[0].query.resource, RESOURCE);
  controller.abort("mine");
  t.is(await rejection(t, token()), "mine");
  const forced = new ManagedIdentityApplication().bearerToken(RESOURCE, { forceRefresh: true });
  await within(endpoint.env, () => forced());
  await within(endpoint.env, () => forced());
  t.is(endpoint.requests.length, 3);
});

test("what is wrong rejects when it is called, and nothing is thrown before", async (t) => {
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
    await refusal(
      t,
      within(endpoint.env, () => token()),
      code,
    );
  }
  t.deepEqual(endpoint.requests, []);
  for (const absent of [undefined, null]) {
    await within(endpoint.env, () => application.bearerToken(RESOURCE, absent)());
  }
  t.is(endpoint.requests.length, 1);
});
