// `getToken` with an `abortSignal`, as Azure SDK clients pass it. abort.spec.mjs covers the request and the other
// waiters.

import { getEventListeners } from "node:events";
import { createRequire } from "node:module";
import test from "ava";
import { getToken, SCOPE } from "./support/credential.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { PlainSignal } from "./support/plain-signal.mjs";
import { expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

test("a signal that is already aborted rejects without a request, even if a token is memoized", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const reason = new Error("aborted by the test");
  const abortSignal = AbortSignal.abort(reason);
  for (const scopes of [SCOPE, [SCOPE]]) {
    t.is(await expectRejection(t, getToken(endpoint, scopes, { abortSignal }, application)), reason);
  }
  t.deepEqual(endpoint.requests, []);
  await getToken(endpoint, SCOPE, undefined, application);
  for (const scopes of [SCOPE, [SCOPE]]) {
    t.is(await expectRejection(t, getToken(endpoint, scopes, { abortSignal }, application)), reason);
  }
});

test("aborting a pending call rejects with the signal's reason; other waiters get the token", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const application = new ManagedIdentityApplication();
  const controller = new AbortController();
  const abortSignal = controller.signal;
  const aborted = getToken(endpoint, [SCOPE], { abortSignal }, application);
  const other = getToken(endpoint, [SCOPE], { abortSignal: new AbortController().signal }, application);
  const plain = acquire(endpoint, RESOURCE, application);
  await endpoint.waitForRequests(1);
  controller.abort();
  const error = await expectRejection(t, aborted);
  t.is(error, abortSignal.reason);
  t.is(error.name, "AbortError");
  t.false(error instanceof ManagedIdentityError);
  t.is(getEventListeners(abortSignal, "abort").length, 0);
  release();
  t.is((await other).token, (await plain).accessToken);
  t.is(endpoint.requests.length, 1);
});

test("a signal without reasons rejects with an AbortError, before and during the call", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const abortSignal = new PlainSignal();
  const call = getToken(endpoint, SCOPE, { abortSignal });
  await endpoint.waitForRequests(1);
  t.is(abortSignal.listeners.length, 1);
  abortSignal.abort();
  t.is((await expectRejection(t, call)).name, "AbortError");
  t.is((await expectRejection(t, getToken(endpoint, SCOPE, { abortSignal }))).name, "AbortError");
  t.is(endpoint.requests.length, 1);
});

test("a signal without reasons has no listener left after the token arrived", async (t) => {
  const endpoint = await startEndpoint(t);
  const abortSignal = new PlainSignal();
  const { token } = await getToken(endpoint, SCOPE, { abortSignal });
  t.is(abortSignal.listeners.length, 0);
  abortSignal.abort();
  t.is((await getToken(endpoint, SCOPE)).token, token);
  t.is(endpoint.requests.length, 1);
});

test("the request of an aborted claims challenge continues and replaces the rejected token", async (t) => {
  const endpoint = await startEndpoint(t);
  const { token } = await getToken(endpoint, SCOPE);
  const release = endpoint.hold();
  const abortSignal = new PlainSignal();
  const aborted = getToken(endpoint, SCOPE, { abortSignal, claims: "{}" });
  await endpoint.waitForRequests(2);
  abortSignal.abort();
  await expectRejection(t, aborted);
  const joined = getToken(endpoint, SCOPE, { claims: "{}" });
  release();
  const next = await joined;
  t.not(next.token, token);
  t.is((await getToken(endpoint, SCOPE)).token, next.token);
  t.is(endpoint.requests.length, 2);
});
