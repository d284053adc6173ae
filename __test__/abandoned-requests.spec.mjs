// Requests that their callers have abandoned, at an endpoint that hangs: later calls are not delayed, and no further
// requests are sent.

import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { startWorker } from "./support/child-program.mjs";
import { acquire, RESOURCE } from "./support/endpoint.mjs";
import { expectRejection } from "./support/rejection.mjs";
import { sendToken, startTokenServer } from "./support/token-server.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** The limit for an immediate response on a busy machine. */
const IMMEDIATE_MS = 30_000;
/** The timeout of an abandoned request, for which no other call may wait. */
const ABANDONED_MS = 4 * IMMEDIATE_MS;
/** A timeout of requests after which a retry would follow within the test. On a busy machine they arrive before it. */
const SHORT_MS = 4_000;
/** Longer than a request with that timeout and the delay of a retry. */
const AFTER_A_RETRY_MS = SHORT_MS + 2_500;
/** The limit of concurrent requests per endpoint. */
const MAX_CONCURRENT_REQUESTS = 31;

const isHanging = (resource) => resource.includes("hangs.example");

/** Starts an endpoint that never responds for some resources. */
function startHangingEndpoint(t) {
  return startTokenServer(t, (resource, response) => {
    if (!isHanging(resource)) sendToken(response);
  });
}

/** Starts an application whose requests have this timeout. */
function createApplication(requestTimeout = ABANDONED_MS) {
  return new ManagedIdentityApplication({ system: { requestTimeout, totalTimeout: 600_000 } });
}

/** Makes calls with these numbers that their callers abort once `arrived` requests of the test have arrived. */
async function makeAbortedCalls(t, endpoint, application, numbers, arrived) {
  const controller = new AbortController();
  const calls = numbers.map((number) => {
    const request = { resource: `https://${number}.hangs.example`, abortSignal: controller.signal };
    return acquire(endpoint, request, application);
  });
  await endpoint.arrived(arrived);
  controller.abort();
  for (const call of calls) t.is((await expectRejection(t, call)).name, "AbortError");
}

const range = (count) => Array.from({ length: count }, (_, number) => number);

async function assertImmediateToken(t, endpoint, resource = RESOURCE) {
  const started = performance.now();
  const { accessToken } = await acquire(endpoint, resource, createApplication());
  const elapsed = performance.now() - started;
  t.is(accessToken, "a-token");
  t.true(elapsed < IMMEDIATE_MS, `${elapsed} ms`);
}

for (const count of [MAX_CONCURRENT_REQUESTS, 200]) {
  test(`after ${count} aborted calls, the next call returns immediately`, async (t) => {
    const endpoint = await startHangingEndpoint(t);
    await makeAbortedCalls(t, endpoint, createApplication(), range(count), MAX_CONCURRENT_REQUESTS);
    await assertImmediateToken(t, endpoint);
  });

  test(`after ${count} aborted calls, no further requests are sent`, async (t) => {
    const endpoint = await startHangingEndpoint(t);
    await makeAbortedCalls(t, endpoint, createApplication(SHORT_MS), range(count), MAX_CONCURRENT_REQUESTS);
    await assertImmediateToken(t, endpoint);
    const sent = endpoint.resources.length;
    await sleep(AFTER_A_RETRY_MS);
    t.is(endpoint.resources.length, sent);
  });
}

test("after 40 sequential aborted calls, the next call returns immediately", async (t) => {
  const endpoint = await startHangingEndpoint(t);
  const application = createApplication();
  for (const number of range(40)) await makeAbortedCalls(t, endpoint, application, [number], number + 1);
  await assertImmediateToken(t, endpoint);
  t.is(endpoint.resources.filter(isHanging).length, 40);
});

test("after 100 calls have timed out, the next call returns immediately", async (t) => {
  const endpoint = await startHangingEndpoint(t);
  const application = createApplication();
  const calls = range(100).map((number) =>
    acquire(endpoint, { resource: `https://${number}.hangs.example`, timeout: 300 }, application),
  );
  for (const call of calls) t.is((await expectRejection(t, call)).errorCode, "network_unavailable");
  await assertImmediateToken(t, endpoint);
});

test("a worker thread that ends with pending calls does not delay other threads and sends no further requests", async (t) => {
  const endpoint = await startHangingEndpoint(t);
  const worker = startWorker(
    t,
    async ({ native, argument: { count, requestTimeout }, report }) => {
      const application = new native.ManagedIdentityApplication({ system: { requestTimeout } });
      for (let number = 0; number < count; number += 1) {
        application.acquireToken(`https://${number}.hangs.example`).catch(() => {});
      }
      report("called");
    },
    { argument: { count: MAX_CONCURRENT_REQUESTS + 9, requestTimeout: SHORT_MS }, env: endpoint.env },
  );
  t.is(await worker.next(), "called");
  await endpoint.arrived(MAX_CONCURRENT_REQUESTS);
  await worker.terminate();
  await assertImmediateToken(t, endpoint);
  const sent = endpoint.resources.length;
  t.true(sent <= MAX_CONCURRENT_REQUESTS + 9 + 1);
  await sleep(AFTER_A_RETRY_MS);
  t.is(endpoint.resources.length, sent);
});

test("a new call joins the request of an aborted call", async (t) => {
  let release;
  const endpoint = await startTokenServer(t, (_, response) => {
    release = () => sendToken(response);
  });
  const controller = new AbortController();
  const aborted = acquire(endpoint, { resource: RESOURCE, abortSignal: controller.signal });
  await endpoint.arrived(1);
  controller.abort();
  await expectRejection(t, aborted);
  const joined = acquire(endpoint);
  release();
  t.is((await joined).accessToken, "a-token");
  t.is(endpoint.resources.length, 1);
});

for (const count of [MAX_CONCURRENT_REQUESTS, 100]) {
  test(`${count} calls through a networkClient that itself acquires a token do not deadlock`, async (t) => {
    const endpoint = await startTokenServer(t, (_, response) => sendToken(response));
    const inner = new ManagedIdentityApplication();
    const send = async () => {
      const { accessToken } = await acquire(endpoint, `https://inner-${count}.example`, inner);
      return {
        status: 200,
        headers: {},
        body: { access_token: `outer of ${accessToken}`, expires_in: 86_400 },
      };
    };
    const networkClient = { sendGetRequestAsync: send, sendPostRequestAsync: send };
    const outer = new ManagedIdentityApplication({ system: { networkClient } });
    const started = performance.now();
    const calls = Array.from({ length: count }, (_, number) =>
      acquire(endpoint, `https://${number}.outer.example`, outer),
    );
    for (const { accessToken } of await Promise.all(calls)) t.is(accessToken, "outer of a-token");
    t.true(performance.now() - started < IMMEDIATE_MS);
    t.is(endpoint.resources.length, 1);
  });
}
