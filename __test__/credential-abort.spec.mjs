// getToken: aborting a call, with the signals that clients of the Azure SDK bring. What happens to the request and
// to those who share it is in abort.spec.mjs.

import { getEventListeners } from "node:events";
import { createRequire } from "node:module";
import test from "ava";
import { getToken, SCOPE } from "./support/credential.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { rejection } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

/** A signal that has no reason and no options for its listeners, as @azure/core-auth allows. */
class PlainSignal {
  aborted = false;
  #listeners = new Set();

  get count() {
    return this.#listeners.size;
  }

  addEventListener(_, listener) {
    this.#listeners.add(listener);
  }

  removeEventListener(_, listener) {
    this.#listeners.delete(listener);
  }

  abort() {
    this.aborted = true;
    for (const listener of this.#listeners) listener.call(this, { type: "abort" });
  }
}

test("aborted beforehand: it rejects, nobody is asked, and a remembered token is not served", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const mine = new Error("mine");
  const abortSignal = AbortSignal.abort(mine);
  for (const scopes of [SCOPE, [SCOPE]]) {
    t.is(await rejection(t, getToken(endpoint, scopes, { abortSignal }, application)), mine);
  }
  t.deepEqual(endpoint.requests, []);
  await getToken(endpoint, SCOPE, undefined, application);
  for (const scopes of [SCOPE, [SCOPE]]) {
    t.is(await rejection(t, getToken(endpoint, scopes, { abortSignal }, application)), mine);
  }
});

test("aborted meanwhile: it rejects with the signal's reason, the others get their token", async (t) => {
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
  const error = await rejection(t, aborted);
  t.is(error, abortSignal.reason);
  t.is(error.name, "AbortError");
  t.false(error instanceof ManagedIdentityError);
  t.is(getEventListeners(abortSignal, "abort").length, 0);
  release();
  t.is((await other).token, (await plain).accessToken);
  t.is(endpoint.requests.length, 1);
});

test("a signal without reasons gives an AbortError, beforehand and meanwhile", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const abortSignal = new PlainSignal();
  const call = getToken(endpoint, SCOPE, { abortSignal });
  await endpoint.waitForRequests(1);
  t.is(abortSignal.count, 1);
  abortSignal.abort();
  t.is((await rejection(t, call)).name, "AbortError");
  t.is((await rejection(t, getToken(endpoint, SCOPE, { abortSignal }))).name, "AbortError");
  t.is(endpoint.requests.length, 1);
});

test("such a signal has no effect and keeps no listener once the token is there", async (t) => {
  const endpoint = await startEndpoint(t);
  const abortSignal = new PlainSignal();
  const { token } = await getToken(endpoint, SCOPE, { abortSignal });
  t.is(abortSignal.count, 0);
  abortSignal.abort();
  t.is((await getToken(endpoint, SCOPE)).token, token);
  t.is(endpoint.requests.length, 1);
});

test("the request of a claims challenge goes on when its caller aborts, and replaces the refused token", async (t) => {
  const endpoint = await startEndpoint(t);
  const { token } = await getToken(endpoint, SCOPE);
  const release = endpoint.hold();
  const abortSignal = new PlainSignal();
  const aborted = getToken(endpoint, SCOPE, { abortSignal, claims: "{}" });
  await endpoint.waitForRequests(2);
  abortSignal.abort();
  await rejection(t, aborted);
  const joined = getToken(endpoint, SCOPE, { claims: "{}" });
  release();
  const next = await joined;
  t.not(next.token, token);
  t.is((await getToken(endpoint, SCOPE)).token, next.token);
  t.is(endpoint.requests.length, 2);
});
