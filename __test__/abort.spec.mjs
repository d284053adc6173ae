// `abortSignal`: an aborted call rejects immediately and without effect on other calls; its request continues for them
// and for the cache.

import { getEventListeners } from "node:events";
import { createRequire } from "node:module";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { PlainSignal } from "./support/plain-signal.mjs";
import { expectError, expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

function requestWith(abortSignal) {
  return { resource: RESOURCE, abortSignal };
}

test("a signal that is already aborted rejects with its reason, without a request", async (t) => {
  const endpoint = await startEndpoint(t);
  const error = await expectRejection(t, acquire(endpoint, requestWith(AbortSignal.abort())));
  t.is(error.name, "AbortError");
  t.false(error instanceof ManagedIdentityError);
  const reason = new Error("custom reason");
  t.is(await expectRejection(t, acquire(endpoint, requestWith(AbortSignal.abort(reason)))), reason);
  t.deepEqual(endpoint.requests, []);
});

test("a signal that is already aborted rejects although a token is cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  await acquire(endpoint, RESOURCE, application);
  const signal = AbortSignal.abort();
  t.is(await expectRejection(t, acquire(endpoint, requestWith(signal), application)), signal.reason);
});

test("native code is notified of calls that lost their last waiter, and only of those", async (t) => {
  const endpoint = await startEndpoint(t);
  const [released] = await runProcess(
    t,
    async ({ native, require, argument, report }) => {
      const { CompletionChannel } = require("./binding.cjs");
      const { cancel } = CompletionChannel.prototype;
      const released = [];
      CompletionChannel.prototype.cancel = function (call) {
        released.push(call);
        return cancel.call(this, call);
      };
      const application = new native.ManagedIdentityApplication();
      await application.acquireToken("https://before.example");
      const { now } = Date;
      const instant = now();
      Date.now = () => instant; // Calls of the same millisecond share a native call.
      const [one, two, alone] = [1, 2, 3].map(() => new AbortController());
      const acquire = (resource, { signal }) =>
        application.acquireToken({ resource, abortSignal: signal }).catch(() => undefined);
      const calls = [acquire(argument, one), acquire(argument, two), acquire("https://other.example", alone)];
      Date.now = now;
      one.abort();
      const first = released.length;
      alone.abort();
      const second = released.length;
      two.abort();
      await Promise.all(calls);
      report([first, second, new Set(released).size]);
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(released, [0, 1, 2]);
});

test("an abort is noticed although its listener is not called", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const byGetter = new AbortController();
  const early = new PlainSignal();
  early.addEventListener = function (type, listener) {
    this.aborted = true;
    listener.call(this, { type });
  };
  const calls = [
    acquire(endpoint, {
      ...requestWith(byGetter.signal),
      get claims() {
        byGetter.abort();
        return undefined;
      },
    }),
    acquire(endpoint, requestWith(early)),
  ];
  const names = [];
  for (const call of calls) call.catch(({ name }) => names.push(name));
  await endpoint.waitForRequests(1);
  t.deepEqual(names, ["AbortError", "AbortError"]);

  const stopped = new AbortController();
  stopped.signal.addEventListener("abort", (event) => event.stopImmediatePropagation());
  const call = acquire(endpoint, requestWith(stopped.signal));
  stopped.abort();
  release();
  t.is((await expectRejection(t, call)).name, "AbortError");
});

test("aborting a pending call rejects with an AbortError although the endpoint never responds", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const controller = new AbortController();
  const call = acquire(endpoint, requestWith(controller.signal));
  await endpoint.waitForRequests(1);
  controller.abort();
  const error = await expectRejection(t, call);
  t.is(error, controller.signal.reason);
  t.is(error.name, "AbortError");
});

for (const [name, reason] of [
  ["an error", new RangeError("custom reason")],
  ["a string", "custom reason"],
  ["null", null],
  ["zero", 0],
]) {
  test(`aborting with a custom reason rejects with that reason: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.hold();
    const controller = new AbortController();
    const call = acquire(endpoint, requestWith(controller.signal));
    await endpoint.waitForRequests(1);
    controller.abort(reason);
    t.is(await expectRejection(t, call), reason);
    t.is(await expectRejection(t, acquire(endpoint, requestWith(controller.signal))), reason);
  });
}

test("AbortSignal.timeout rejects with its TimeoutError", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const signal = AbortSignal.timeout(20);
  const error = await expectRejection(t, acquire(endpoint, requestWith(signal)));
  t.is(error, signal.reason);
  t.is(error.name, "TimeoutError");
});

test("AbortSignal.any aborts a call", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const controller = new AbortController();
  const call = acquire(endpoint, requestWith(AbortSignal.any([controller.signal])));
  await endpoint.waitForRequests(1);
  controller.abort("custom reason");
  t.is(await expectRejection(t, call), "custom reason");
});

test("a signal without reasons, like that of @azure/abort-controller, rejects with an AbortError", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const signal = new PlainSignal();
  const call = acquire(endpoint, requestWith(signal));
  await endpoint.waitForRequests(1);
  signal.abort();
  t.is((await expectRejection(t, call)).name, "AbortError");
  t.is((await expectRejection(t, acquire(endpoint, requestWith(signal)))).name, "AbortError");
});

test("a signal without reasons has no listener left after the token arrived", async (t) => {
  const endpoint = await startEndpoint(t);
  const signal = new PlainSignal();
  await acquire(endpoint, requestWith(signal));
  t.deepEqual(signal.listeners, []);
});

test("aborting one of several waiters does not affect the others, which share one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const controller = new AbortController();
  const [aborted, ...others] = withFrozenClock(() => [
    acquire(endpoint, requestWith(controller.signal), application),
    acquire(endpoint, RESOURCE, application),
    acquire(endpoint, requestWith(new AbortController().signal), application),
    acquire(endpoint),
  ]);
  await endpoint.waitForRequests(1);
  controller.abort();
  t.is((await expectRejection(t, aborted)).name, "AbortError");
  const late = acquire(endpoint, RESOURCE, application);
  release();
  const results = await Promise.all([...others, late]);
  t.is(new Set(results.map(({ accessToken }) => accessToken)).size, 1);
  t.is(endpoint.requests.length, 1);
});

test("the token of an aborted call is cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const controller = new AbortController();
  const call = acquire(endpoint, requestWith(controller.signal));
  await endpoint.waitForRequests(1);
  controller.abort();
  await expectRejection(t, call);
  release();
  // The call joins the request in flight or finds its token in the cache; neither sends a second request.
  await acquire(endpoint);
  t.true((await acquire(endpoint)).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("the next call of an application whose only waiter aborted gets the token of the same request", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const controller = new AbortController();
  const [aborted, next] = withFrozenClock(() => {
    const first = acquire(endpoint, requestWith(controller.signal), application);
    controller.abort();
    return [first, acquire(endpoint, requestWith(new AbortController().signal), application)];
  });
  t.is(await expectRejection(t, aborted), controller.signal.reason);
  await endpoint.waitForRequests(1);
  release();
  await next;
  t.is(endpoint.requests.length, 1);
});

test("aborting after the token arrived has no effect", async (t) => {
  const endpoint = await startEndpoint(t);
  const controller = new AbortController();
  const { fromCache } = await acquire(endpoint, requestWith(controller.signal));
  t.false(fromCache);
  controller.abort();
  t.true((await acquire(endpoint)).fromCache);
});

test("no listener remains on the signal after success, failure or a cached token", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const { signal } = new AbortController();
  const listenerCount = () => getEventListeners(signal, "abort").length;
  await acquire(endpoint, requestWith(signal), application);
  t.is(listenerCount(), 0, "after success");
  await acquire(endpoint, requestWith(signal), application);
  t.is(listenerCount(), 0, "after a memoized token");
  await acquire(endpoint, requestWith(signal));
  t.is(listenerCount(), 0, "after a cached token");
  endpoint.next({ status: 400 });
  await expectError(t, acquireWithoutRetries(endpoint, { ...requestWith(signal), forceRefresh: true }));
  t.is(listenerCount(), 0, "after failure");
  await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: "nonsense", abortSignal: signal }),
    "invalid_resource",
  );
  t.is(listenerCount(), 0, "after an invalid request");
});

test("the signal's onabort handler is not replaced", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const controller = new AbortController();
  let called = 0;
  controller.signal.onabort = () => {
    called += 1;
  };
  const call = acquire(endpoint, requestWith(controller.signal));
  controller.abort();
  await expectRejection(t, call);
  t.is(called, 1);
});

test("aborting 2,000 of 4,000 calls rejects exactly those", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const controllers = Array.from({ length: 4000 }, () => new AbortController());
  const calls = controllers.map(({ signal }, index) =>
    acquire(endpoint, requestWith(signal), index % 4 < 2 ? application : undefined),
  );
  await endpoint.waitForRequests(1);
  for (const [index, controller] of controllers.entries()) {
    if (index % 2 === 0) controller.abort(index);
  }
  release();
  const outcomes = await Promise.allSettled(calls);
  t.true(
    outcomes.every(({ status, reason }, index) =>
      index % 2 === 0 ? reason === index : status === "fulfilled",
    ),
  );
  t.is(endpoint.requests.length, 1);
  t.true(controllers.every(({ signal }) => getEventListeners(signal, "abort").length === 0));
});

test("one signal shared by a hundred concurrent calls causes no warning", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const controller = new AbortController();
      const request = { resource: argument, abortSignal: controller.signal };
      const calls = Array.from({ length: 100 }, () => application.acquireToken(request));
      controller.abort();
      const outcomes = await Promise.allSettled(calls);
      report(outcomes.every(({ reason }) => reason === controller.signal.reason));
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, [true]);
});

test("a process whose only call was aborted exits although the endpoint never responds", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      // The timeouts are longer than the test, so that they do not end the request.
      const application = new native.ManagedIdentityApplication({
        system: { requestTimeout: 600_000, totalTimeout: 600_000 },
      });
      for (const wait of ["abort", "timeout"]) {
        const controller = new AbortController();
        const abortSignal = wait === "abort" ? controller.signal : AbortSignal.timeout(20);
        const call = application.acquireToken({ resource: argument, abortSignal });
        setImmediate(() => controller.abort());
        await call.catch(({ name }) => report(name));
      }
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, ["AbortError", "TimeoutError"]);
  t.is(endpoint.requests.length <= 1, true);
});
