// Request coalescing: concurrent calls for one token share a request, across applications and threads, and the end of
// one call does not affect the others.

import { createRequire } from "node:module";
import test from "ava";
import { startProcess, startWorker } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

const FORCED = { resource: RESOURCE, forceRefresh: true };
const CLAIMS = { resource: RESOURCE, claims: "{}" };

/** The number of different tokens in these results. */
function countTokens(results) {
  return new Set(results.map(({ accessToken }) => accessToken)).size;
}

/** Starts a worker with `callers` concurrent calls; it reports "called", and later the number of tokens it got. */
function startCallingWorker(t, endpoint, callers) {
  return startWorker(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const calls = Array.from({ length: argument.callers }, () =>
        application.acquireToken(argument.resource),
      );
      report("called");
      const outcomes = await Promise.allSettled(calls);
      const count = outcomes.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
      report({ count: count.length, token: count[0]?.accessToken });
    },
    { argument: { callers, resource: RESOURCE }, env: endpoint.env },
  );
}

test("1,000 concurrent calls of one application without a cached token send one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const application = new ManagedIdentityApplication();
  const calls = Array.from({ length: 1000 }, () => acquire(endpoint, RESOURCE, application));
  await endpoint.waitForRequests(1);
  release();
  const results = await Promise.all(calls);
  t.is(countTokens(results), 1);
  t.true(results.every(({ fromCache }) => !fromCache));
  t.is(endpoint.requests.length, 1);
});

test("1,000 concurrent calls of 1,000 applications without a cached token send one request", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const release = endpoint.hold();
  const calls = Array.from({ length: 1000 }, () => acquire(endpoint));
  await endpoint.waitForRequests(1);
  release();
  t.is(countTokens(await Promise.all(calls)), 1);
  t.is(endpoint.requests.length, 1);
});

test("calls of any form share a request: strings, objects, signals, timeouts", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const calls = [
    RESOURCE,
    `${RESOURCE}/.default`,
    { resource: RESOURCE },
    { resource: RESOURCE, abortSignal: new AbortController().signal },
    { resource: RESOURCE, timeout: 5_000 },
    FORCED,
    CLAIMS,
  ].map((request) => acquire(endpoint, request, application));
  await endpoint.waitForRequests(1);
  release();
  t.is(countTokens(await Promise.all(calls)), 1);
  t.is(endpoint.requests.length, 1);
});

test("forceRefresh and claims join the request of a forceRefresh; plain calls get the cached token", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  const release = endpoint.hold();
  const calls = [acquire(endpoint, FORCED), acquire(endpoint, FORCED), acquire(endpoint, CLAIMS)];
  await endpoint.waitForRequests(2);
  t.true((await acquire(endpoint)).fromCache, "the cached token is returned meanwhile");
  release();
  t.is(countTokens(await Promise.all(calls)), 1);
  t.is(endpoint.requests.length, 2);
});

test("forceRefresh does not join the request of a claims challenge", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  const release = endpoint.hold();
  const claimed = acquire(endpoint, CLAIMS);
  const refreshed = acquire(endpoint, FORCED);
  await endpoint.waitForRequests(3);
  release();
  t.is(countTokens(await Promise.all([claimed, refreshed])), 2);
});

test("calls with different retry options do not share a request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const calls = [
    acquire(endpoint),
    acquireWithoutRetries(endpoint),
    acquire(endpoint),
    acquireWithoutRetries(endpoint),
  ];
  await endpoint.waitForRequests(2);
  release();
  await Promise.all(calls);
  t.is(endpoint.requests.length, 2);
});

test("8 worker threads with 250 calls each send one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const workers = Array.from({ length: 8 }, () => startCallingWorker(t, endpoint, 250));
  await Promise.all(workers.map(async (worker) => t.is(await worker.next(), "called")));
  await endpoint.waitForRequests(1);
  release();
  const ends = await Promise.all(workers.map((worker) => worker.next()));
  t.true(ends.every(({ count }) => count === 250));
  t.is(new Set(ends.map(({ token }) => token)).size, 1);
  t.is(endpoint.requests.length, 1);
});

test("terminating the worker that sent the request does not affect other waiters", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const starter = startCallingWorker(t, endpoint, 50);
  t.is(await starter.next(), "called");
  await endpoint.waitForRequests(1);
  const others = Array.from({ length: 4 }, () => startCallingWorker(t, endpoint, 50));
  await Promise.all(others.map((worker) => worker.next()));
  const own = acquire(endpoint);
  await starter.terminate();
  release();
  const ends = await Promise.all(others.map((worker) => worker.next()));
  t.true(ends.every(({ count }) => count === 50));
  t.is(countTokens([await own, ...ends.map(({ token }) => ({ accessToken: token }))]), 1);
  t.is(endpoint.requests.length, 1);
});

test("terminating waiting workers does not affect the call that sent the request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const own = acquire(endpoint);
  await endpoint.waitForRequests(1);
  const workers = Array.from({ length: 4 }, () => startCallingWorker(t, endpoint, 50));
  await Promise.all(workers.map((worker) => worker.next()));
  await Promise.all(workers.map((worker) => worker.terminate()));
  release();
  t.false((await own).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("terminating the only worker that loaded the package does not crash the process", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const program = startProcess(
    t,
    async ({ require, argument, report }) => {
      const { Worker } = require("node:worker_threads");
      const { once } = require("node:events");
      const code = `
        const { parentPort, workerData } = require("node:worker_threads");
        const { ManagedIdentityApplication } = require(workerData.path);
        const call = new ManagedIdentityApplication().acquireToken(workerData.resource);
        parentPort.postMessage("called");
        call.then(({ fromCache }) => parentPort.postMessage(fromCache));
      `;
      const start = async () => {
        const workerData = { path: require.resolve("managed-identity-native"), resource: argument };
        const worker = new Worker(code, { eval: true, workerData });
        await once(worker, "message");
        return worker;
      };
      await (await start()).terminate();
      const second = await start();
      report("terminated");
      const [fromCache] = await once(second, "message");
      report(fromCache);
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  await endpoint.waitForRequests(1);
  t.is(await program.next(), "terminated");
  release();
  t.is(await program.next(), false);
  t.deepEqual(await program.ended, { code: 0, signal: null, reports: ["terminated", false], stderr: "" });
  t.is(endpoint.requests.length, 1);
});

test("a response that arrives after its only worker was terminated is ignored", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const program = startProcess(
    t,
    async ({ require, argument, report }) => {
      const { Worker } = require("node:worker_threads");
      const { once } = require("node:events");
      const code = `
        const { parentPort, workerData } = require("node:worker_threads");
        const { ManagedIdentityApplication } = require(workerData.path);
        new ManagedIdentityApplication().acquireToken(workerData.resource);
        parentPort.postMessage("called");
      `;
      const workerData = { path: require.resolve("managed-identity-native"), resource: argument.resource };
      const worker = new Worker(code, { eval: true, workerData });
      await once(worker, "message");
      await worker.terminate();
      report("terminated");
      // The main thread stays alive until the endpoint has responded: its request is answered after the held one.
      const response = await fetch(argument.url);
      report(response.status);
    },
    { argument: { resource: RESOURCE, url: `${endpoint.origin}/elsewhere` }, env: endpoint.env },
  );
  t.is(await program.next(), "terminated");
  await endpoint.waitForRequests(2);
  release();
  t.is(await program.next(), 404);
  const { code, signal } = await program.ended;
  t.deepEqual([code, signal], [0, null]);
});

test("each caller of a shared failure gets its own Error with its own stack", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 400 });
  const application = new ManagedIdentityApplication();
  async function firstCaller() {
    return await acquire(endpoint, RESOURCE, application);
  }
  async function secondCaller() {
    return await acquire(endpoint, RESOURCE, application);
  }
  async function callerOfAnotherApplication() {
    return await acquire(endpoint);
  }
  const callers = [firstCaller, secondCaller, callerOfAnotherApplication];
  const release = endpoint.hold();
  const calls = withFrozenClock(() => callers.map((caller) => caller()));
  await endpoint.waitForRequests(1);
  release();
  const errors = await Promise.all(
    calls.map((call) => expectError(t, call, "managed_identity_failed_response")),
  );
  t.is(new Set(errors).size, errors.length);
  for (const [index, { stack, statusCode }] of errors.entries()) {
    t.is(statusCode, 400);
    t.true(stack.includes("request-coalescing.spec.mjs"), stack);
    for (const caller of callers) t.is(stack.includes(caller.name), caller === callers[index], stack);
  }
  t.is(endpoint.requests.length, 1);
});

test("changing an Error does not affect other callers' errors", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ drop: "before" });
  const application = new ManagedIdentityApplication(NO_RETRIES);
  const calls = withFrozenClock(() => [1, 2].map(() => acquire(endpoint, RESOURCE, application)));
  const [first, second] = await Promise.all(calls.map((call) => expectError(t, call)));
  first.message = "changed";
  first.cause.message = "changed";
  t.not(second.message, "changed");
  t.not(second.cause.message, "changed");
});

test("an error is not cached", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 400 }, { status: 400 }]);
  const application = new ManagedIdentityApplication();
  await expectError(t, acquire(endpoint, RESOURCE, application));
  await expectError(t, acquire(endpoint, RESOURCE, application));
  t.false((await acquire(endpoint, RESOURCE, application)).fromCache);
  t.is(endpoint.requests.length, 3);
});

test("1,000 callers of a shared failure get 1,000 errors", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 400 });
  const application = new ManagedIdentityApplication();
  const calls = withFrozenClock(() =>
    Array.from({ length: 1000 }, () => acquire(endpoint, RESOURCE, application)),
  );
  const outcomes = await Promise.allSettled(calls);
  const errors = new Set(outcomes.map(({ reason }) => reason));
  t.is(errors.size, 1000);
  t.true([...errors].every((error) => error instanceof ManagedIdentityError));
  t.is(new Set([...errors].map(({ message }) => message)).size, 1);
  t.is(endpoint.requests.length, 1);
});
