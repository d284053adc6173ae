// Single flight: however many ask for one token at a time, in whatever threads, one request is made, and
// nobody's end is anybody else's.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { startProcess, startWorker } from "./support/program.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

const FORCED = { resource: RESOURCE, forceRefresh: true };
const CLAIMS = { resource: RESOURCE, claims: "{}" };

/** How many different tokens there are among results. */
function tokens(results) {
  return new Set(results.map(({ accessToken }) => accessToken)).size;
}

/** A worker with `argument.callers` callers; it reports "asked", then how many tokens and errors they got. */
function startCallers(t, endpoint, callers) {
  return startWorker(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const calls = Array.from({ length: argument.callers }, () =>
        application.acquireToken(argument.resource),
      );
      report("asked");
      const outcomes = await Promise.allSettled(calls);
      const got = outcomes.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
      report({ got: got.length, token: got[0]?.accessToken });
    },
    { argument: { callers, resource: RESOURCE }, env: endpoint.env },
  );
}

test("1,000 simultaneous cold calls of one application make one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const application = new ManagedIdentityApplication();
  const calls = Array.from({ length: 1000 }, () => acquire(endpoint, RESOURCE, application));
  await endpoint.waitForRequests(1);
  release();
  const results = await Promise.all(calls);
  t.is(tokens(results), 1);
  t.true(results.every(({ fromCache }) => !fromCache));
  t.is(endpoint.requests.length, 1);
});

test("1,000 simultaneous cold calls of 1,000 applications make one request", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const release = endpoint.hold();
  const calls = Array.from({ length: 1000 }, () => acquire(endpoint));
  await endpoint.waitForRequests(1);
  release();
  t.is(tokens(await Promise.all(calls)), 1);
  t.is(endpoint.requests.length, 1);
});

test("calls of any form share a flight: strings, objects, signals, timeouts", async (t) => {
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
  t.is(tokens(await Promise.all(calls)), 1);
  t.is(endpoint.requests.length, 1);
});

test("forceRefresh joins a flight that forceRefresh started, and no plain call's refresh is needed", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  const release = endpoint.hold();
  const calls = [acquire(endpoint, FORCED), acquire(endpoint, FORCED), acquire(endpoint, CLAIMS)];
  await endpoint.waitForRequests(2);
  t.true((await acquire(endpoint)).fromCache, "the cached token is served meanwhile");
  release();
  t.is(tokens(await Promise.all(calls)), 1);
  t.is(endpoint.requests.length, 2);
});

test("forceRefresh does not join a flight that claims started", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  const release = endpoint.hold();
  const claimed = acquire(endpoint, CLAIMS);
  const forced = acquire(endpoint, FORCED);
  await endpoint.waitForRequests(3);
  release();
  t.is(tokens(await Promise.all([claimed, forced])), 2);
});

test("callers with another retry switch have a flight of their own", async (t) => {
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

test("8 worker threads with 250 callers each make one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const workers = Array.from({ length: 8 }, () => startCallers(t, endpoint, 250));
  await Promise.all(workers.map(async (worker) => t.is(await worker.next(), "asked")));
  await endpoint.waitForRequests(1);
  release();
  const ends = await Promise.all(workers.map((worker) => worker.next()));
  t.true(ends.every(({ got }) => got === 250));
  t.is(new Set(ends.map(({ token }) => token)).size, 1);
  t.is(endpoint.requests.length, 1);
});

test("the worker that started the flight is terminated: all others get its token, by one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const starter = startCallers(t, endpoint, 50);
  t.is(await starter.next(), "asked");
  await endpoint.waitForRequests(1);
  const others = Array.from({ length: 4 }, () => startCallers(t, endpoint, 50));
  await Promise.all(others.map((worker) => worker.next()));
  const own = acquire(endpoint);
  await starter.terminate();
  release();
  const ends = await Promise.all(others.map((worker) => worker.next()));
  t.true(ends.every(({ got }) => got === 50));
  t.is(tokens([await own, ...ends.map(({ token }) => ({ accessToken: token }))]), 1);
  t.is(endpoint.requests.length, 1);
});

test("workers that are terminated while they wait do not harm the starter", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const own = acquire(endpoint);
  await endpoint.waitForRequests(1);
  const workers = Array.from({ length: 4 }, () => startCallers(t, endpoint, 50));
  await Promise.all(workers.map((worker) => worker.next()));
  await Promise.all(workers.map((worker) => worker.terminate()));
  release();
  t.false((await own).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("a package that only a terminated worker had loaded does not crash the process", async (t) => {
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
        parentPort.postMessage("asked");
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

test("an answer that comes when the only worker is gone harms nobody", async (t) => {
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
        parentPort.postMessage("asked");
      `;
      const workerData = { path: require.resolve("managed-identity-native"), resource: argument.resource };
      const worker = new Worker(code, { eval: true, workerData });
      await once(worker, "message");
      await worker.terminate();
      report("terminated");
      // The main thread stays until the endpoint has answered: an exchange of its own comes after it.
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

test("a failure reaches every caller as an Error of its own, with its own calling line", async (t) => {
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

test("a caller that changes its Error changes nobody else's", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ drop: "before" });
  const application = new ManagedIdentityApplication(NO_RETRIES);
  const calls = withFrozenClock(() => [1, 2].map(() => acquire(endpoint, RESOURCE, application)));
  const [first, second] = await Promise.all(calls.map((call) => expectError(t, call)));
  first.message = "spoilt";
  first.cause.message = "spoilt";
  t.not(second.message, "spoilt");
  t.not(second.cause.message, "spoilt");
});

test("a failure is not remembered", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 400 }, { status: 400 }]);
  const application = new ManagedIdentityApplication();
  await expectError(t, acquire(endpoint, RESOURCE, application));
  await expectError(t, acquire(endpoint, RESOURCE, application));
  t.false((await acquire(endpoint, RESOURCE, application)).fromCache);
  t.is(endpoint.requests.length, 3);
});

test("1,000 callers of a failure get 1,000 errors", async (t) => {
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
