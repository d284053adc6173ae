// Aborting a call: it ends at once and alone; the flight goes on for the others and for the cache.

import { getEventListeners } from "node:events";
import { createRequire } from "node:module";
import test from "ava";
import { atOneInstant } from "./support/clock.mjs";
import { acquire, acquireOnce, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";
import { refusal, rejection } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

function requestWith(abortSignal) {
  return { resource: RESOURCE, abortSignal };
}

/** A signal as @azure/abort-controller 1 has it: no reason, no options, a listener list of its own. */
class PlainSignal {
  aborted = false;
  listeners = [];

  addEventListener(_, listener) {
    this.listeners.push(listener);
  }

  removeEventListener(_, listener) {
    this.listeners = this.listeners.filter((other) => other !== listener);
  }

  abort() {
    this.aborted = true;
    for (const listener of this.listeners) listener.call(this, { type: "abort" });
  }
}

test("aborted beforehand: it rejects with the signal's reason, and nobody is asked", async (t) => {
  const endpoint = await startEndpoint(t);
  const error = await rejection(t, acquire(endpoint, requestWith(AbortSignal.abort())));
  t.is(error.name, "AbortError");
  t.false(error instanceof ManagedIdentityError);
  const mine = new Error("mine");
  t.is(await rejection(t, acquire(endpoint, requestWith(AbortSignal.abort(mine)))), mine);
  t.deepEqual(endpoint.requests, []);
});

test("aborted beforehand: it rejects although a token is cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  await acquire(endpoint, RESOURCE, application);
  const signal = AbortSignal.abort();
  t.is(await rejection(t, acquire(endpoint, requestWith(signal), application)), signal.reason);
});

test("native code is told of a call that nobody waits for any more, and of no other", async (t) => {
  const endpoint = await startEndpoint(t);
  const [released] = await runProcess(
    t,
    async ({ native, require, argument, report }) => {
      const { Arrivals } = require("./binding.cjs");
      const { release } = Arrivals.prototype;
      const released = [];
      Arrivals.prototype.release = function (call) {
        released.push(call);
        return release.call(this, call);
      };
      const application = new native.ManagedIdentityApplication();
      await application.acquireToken("https://before.example");
      const { now } = Date;
      const instant = now();
      Date.now = () => instant; // Calls of one moment share a native one.
      const [one, two, alone] = [1, 2, 3].map(() => new AbortController());
      const ask = (resource, { signal }) =>
        application.acquireToken({ resource, abortSignal: signal }).catch(() => undefined);
      const calls = [ask(argument, one), ask(argument, two), ask("https://other.example", alone)];
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

test("an abort that no listener is told of counts all the same", async (t) => {
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
  t.is((await rejection(t, call)).name, "AbortError");
});

test("aborted meanwhile: it rejects with an AbortError, although the endpoint never answers", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const controller = new AbortController();
  const call = acquire(endpoint, requestWith(controller.signal));
  await endpoint.waitForRequests(1);
  controller.abort();
  const error = await rejection(t, call);
  t.is(error, controller.signal.reason);
  t.is(error.name, "AbortError");
});

for (const [name, reason] of [
  ["an error", new RangeError("mine")],
  ["a string", "mine"],
  ["null", null],
  ["zero", 0],
]) {
  test(`a reason of the caller's own is what it rejects with: ${name}`, async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.hold();
    const controller = new AbortController();
    const call = acquire(endpoint, requestWith(controller.signal));
    await endpoint.waitForRequests(1);
    controller.abort(reason);
    t.is(await rejection(t, call), reason);
    t.is(await rejection(t, acquire(endpoint, requestWith(controller.signal))), reason);
  });
}

test("AbortSignal.timeout rejects with its TimeoutError", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const signal = AbortSignal.timeout(20);
  const error = await rejection(t, acquire(endpoint, requestWith(signal)));
  t.is(error, signal.reason);
  t.is(error.name, "TimeoutError");
});

test("AbortSignal.any is a signal like any other", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const controller = new AbortController();
  const call = acquire(endpoint, requestWith(AbortSignal.any([controller.signal])));
  await endpoint.waitForRequests(1);
  controller.abort("mine");
  t.is(await rejection(t, call), "mine");
});

test("a signal without reasons, as @azure/abort-controller's, gives an AbortError", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const signal = new PlainSignal();
  const call = acquire(endpoint, requestWith(signal));
  await endpoint.waitForRequests(1);
  signal.abort();
  t.is((await rejection(t, call)).name, "AbortError");
  t.is((await rejection(t, acquire(endpoint, requestWith(signal)))).name, "AbortError");
});

test("such a signal keeps no listener once the token is there", async (t) => {
  const endpoint = await startEndpoint(t);
  const signal = new PlainSignal();
  await acquire(endpoint, requestWith(signal));
  t.deepEqual(signal.listeners, []);
});

test("others who wait get the token, by one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const controller = new AbortController();
  const [aborted, ...others] = atOneInstant(() => [
    acquire(endpoint, requestWith(controller.signal), application),
    acquire(endpoint, RESOURCE, application),
    acquire(endpoint, requestWith(new AbortController().signal), application),
    acquire(endpoint),
  ]);
  await endpoint.waitForRequests(1);
  controller.abort();
  t.is((await rejection(t, aborted)).name, "AbortError");
  const late = acquire(endpoint, RESOURCE, application);
  release();
  const results = await Promise.all([...others, late]);
  t.is(new Set(results.map(({ accessToken }) => accessToken)).size, 1);
  t.is(endpoint.requests.length, 1);
});

test("the token of a call that was aborted is cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const controller = new AbortController();
  const call = acquire(endpoint, requestWith(controller.signal));
  await endpoint.waitForRequests(1);
  controller.abort();
  await rejection(t, call);
  release();
  // Either it joins the flight or it finds the flight's token; in neither case is there a second request.
  await acquire(endpoint);
  t.true((await acquire(endpoint)).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("an application whose only caller aborted gets the token at its next call", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const controller = new AbortController();
  const [aborted, next] = atOneInstant(() => {
    const first = acquire(endpoint, requestWith(controller.signal), application);
    controller.abort();
    return [first, acquire(endpoint, requestWith(new AbortController().signal), application)];
  });
  t.is(await rejection(t, aborted), controller.signal.reason);
  await endpoint.waitForRequests(1);
  release();
  await next;
  t.is(endpoint.requests.length, 1);
});

test("aborting after the token came has no effect", async (t) => {
  const endpoint = await startEndpoint(t);
  const controller = new AbortController();
  const { fromCache } = await acquire(endpoint, requestWith(controller.signal));
  t.false(fromCache);
  controller.abort();
  t.true((await acquire(endpoint)).fromCache);
});

test("no listener is left on the signal: after success, after failure, after a cached token", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const { signal } = new AbortController();
  const left = () => getEventListeners(signal, "abort").length;
  await acquire(endpoint, requestWith(signal), application);
  t.is(left(), 0, "after success");
  await acquire(endpoint, requestWith(signal), application);
  t.is(left(), 0, "after a remembered token");
  await acquire(endpoint, requestWith(signal));
  t.is(left(), 0, "after a cached token");
  endpoint.next({ status: 400 });
  await refusal(t, acquireOnce(endpoint, { ...requestWith(signal), forceRefresh: true }));
  t.is(left(), 0, "after failure");
  await refusal(t, acquireOnce(endpoint, { resource: "nonsense", abortSignal: signal }), "invalid_resource");
  t.is(left(), 0, "after a refusal");
});

test("the signal's own onabort is left alone", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const controller = new AbortController();
  let called = 0;
  controller.signal.onabort = () => {
    called += 1;
  };
  const call = acquire(endpoint, requestWith(controller.signal));
  controller.abort();
  await rejection(t, call);
  t.is(called, 1);
});

test("2,000 of 4,000 abort: each of them rejects, each of the others gets the token", async (t) => {
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

test("one signal for a hundred simultaneous calls, such as a service's own for its end: no warning", async (t) => {
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

test("a process whose only caller aborted ends by itself, although the endpoint never answers", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      // No timeout of ours ends the exchange within the time that a test has.
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
