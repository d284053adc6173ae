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

/** The limit for an immediate response on a busy machine. Waiting for an abandoned request would take at least 10 s. */
const IMMEDIATE_MS = 4_000;
/** The limit of concurrent requests per endpoint. */
const MAX_CONCURRENT_REQUESTS = 31;

const isHanging = (resource) => resource.includes("hangs.example");

/** Starts an endpoint that never responds for some resources. */
function startHangingEndpoint(t) {
  return startTokenServer(t, (resource, response) => {
    if (!isHanging(resource)) sendToken(response);
  });
}

/** Makes a call that its caller aborts after 100 ms. */
async function abortAfterDelay(t, endpoint, application, number) {
  const controller = new AbortController();
  const request = { resource: `https://${number}.hangs.example`, abortSignal: controller.signal };
  const call = acquire(endpoint, request, application);
  await sleep(100); // The delay is part of the test case.
  controller.abort();
  t.is((await expectRejection(t, call)).name, "AbortError");
}

async function assertImmediateToken(t, endpoint, resource = RESOURCE) {
  const started = performance.now();
  const { accessToken } = await acquire(endpoint, resource);
  const elapsed = performance.now() - started;
  t.is(accessToken, "a-token");
  t.true(elapsed < IMMEDIATE_MS, `${elapsed} ms`);
}

for (const count of [MAX_CONCURRENT_REQUESTS, 200]) {
  test(`after ${count} aborted calls, the next call returns immediately`, async (t) => {
    const endpoint = await startHangingEndpoint(t);
    const application = new ManagedIdentityApplication();
    const calls = Array.from({ length: count }, (_, number) =>
      abortAfterDelay(t, endpoint, application, number),
    );
    await endpoint.arrived(MAX_CONCURRENT_REQUESTS);
    await Promise.all(calls);
    await assertImmediateToken(t, endpoint);
  });

  test(`after ${count} aborted calls, no further requests are sent`, async (t) => {
    const endpoint = await startHangingEndpoint(t);
    // A short timeout, so that a retry would follow within the test.
    const application = new ManagedIdentityApplication({ system: { requestTimeout: 400 } });
    const calls = Array.from({ length: count }, (_, number) =>
      abortAfterDelay(t, endpoint, application, number),
    );
    await endpoint.arrived(MAX_CONCURRENT_REQUESTS);
    await Promise.all(calls);
    await assertImmediateToken(t, endpoint);
    const sent = endpoint.resources.length;
    await sleep(2_500); // Longer than the request in flight and the delay of a retry.
    t.is(endpoint.resources.length, sent);
  });
}

test("after 40 sequential aborted calls, the next call returns immediately", async (t) => {
  const endpoint = await startHangingEndpoint(t);
  const application = new ManagedIdentityApplication();
  for (let number = 0; number < 40; number += 1) await abortAfterDelay(t, endpoint, application, number);
  await assertImmediateToken(t, endpoint);
  t.is(endpoint.resources.filter(isHanging).length, 40);
});

test("after 100 calls have timed out, the next call returns immediately", async (t) => {
  const endpoint = await startHangingEndpoint(t);
  const calls = Array.from({ length: 100 }, (_, number) =>
    acquire(endpoint, { resource: `https://${number}.hangs.example`, timeout: 300 }),
  );
  for (const call of calls) t.is((await expectRejection(t, call)).errorCode, "network_unavailable");
  await assertImmediateToken(t, endpoint);
});

test("a worker thread that ends with pending calls does not delay other threads and sends no further requests", async (t) => {
  const endpoint = await startHangingEndpoint(t);
  const worker = startWorker(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication({ system: { requestTimeout: 3_000 } });
      for (let number = 0; number < argument; number += 1) {
        application.acquireToken(`https://${number}.hangs.example`).catch(() => {});
      }
      report("called");
    },
    { argument: MAX_CONCURRENT_REQUESTS + 9, env: endpoint.env },
  );
  t.is(await worker.next(), "called");
  await endpoint.arrived(MAX_CONCURRENT_REQUESTS);
  await worker.terminate();
  await assertImmediateToken(t, endpoint);
  const sent = endpoint.resources.length;
  t.true(sent <= MAX_CONCURRENT_REQUESTS + 9 + 1);
  await sleep(4_500); // Longer than the request in flight and the delay of a retry.
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
