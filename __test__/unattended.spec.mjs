// Callers who leave an endpoint that hangs: later callers do not wait for them, and nothing is sent for them.

import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { acquire, RESOURCE } from "./support/endpoint.mjs";
import { startWorker } from "./support/program.mjs";
import { rejection } from "./support/refusal.mjs";
import { sendToken, startTokenServer } from "./support/token-server.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** What an answer at once takes on a machine that is busy; to wait for those who hang takes 10 s and more. */
const AT_ONCE = 4_000;
/** As many as one endpoint has places for. */
const PLACES = 31;

const isHanging = (resource) => resource.includes("hangs.example");

/** An endpoint that never answers for some resources. */
function startHanging(t) {
  return startTokenServer(t, (resource, response) => {
    if (!isHanging(resource)) sendToken(response);
  });
}

/** A call for which the answer is not awaited: the caller gives up after 100 ms. */
async function giveUp(t, endpoint, application, number) {
  const controller = new AbortController();
  const request = { resource: `https://${number}.hangs.example`, abortSignal: controller.signal };
  const call = acquire(endpoint, request, application);
  await sleep(100); // The case's own wait.
  controller.abort();
  t.is((await rejection(t, call)).name, "AbortError");
}

async function isServedAtOnce(t, endpoint, resource = RESOURCE) {
  const started = performance.now();
  const { accessToken } = await acquire(endpoint, resource);
  const took = performance.now() - started;
  t.is(accessToken, "a-token");
  t.true(took < AT_ONCE, `${took} ms`);
}

for (const count of [PLACES, 200]) {
  test(`${count} aborted calls: the next one is served at once`, async (t) => {
    const endpoint = await startHanging(t);
    const application = new ManagedIdentityApplication();
    const calls = Array.from({ length: count }, (_, number) => giveUp(t, endpoint, application, number));
    await endpoint.arrived(PLACES);
    await Promise.all(calls);
    await isServedAtOnce(t, endpoint);
  });

  test(`${count} aborted calls: nothing is sent for them afterwards`, async (t) => {
    const endpoint = await startHanging(t);
    // Exchanges that go on end soon, so that retries would follow within the test.
    const application = new ManagedIdentityApplication({ system: { requestTimeout: 400 } });
    const calls = Array.from({ length: count }, (_, number) => giveUp(t, endpoint, application, number));
    await endpoint.arrived(PLACES);
    await Promise.all(calls);
    await isServedAtOnce(t, endpoint);
    const sent = endpoint.resources.length;
    await sleep(2_500); // Longer than the exchange under way and the wait for a retry.
    t.is(endpoint.resources.length, sent);
  });
}

test("aborted calls one after another: the next one is served at once", async (t) => {
  const endpoint = await startHanging(t);
  const application = new ManagedIdentityApplication();
  for (let number = 0; number < 40; number += 1) await giveUp(t, endpoint, application, number);
  await isServedAtOnce(t, endpoint);
  t.is(endpoint.resources.filter(isHanging).length, 40);
});

test("calls whose time is up: the next one is served at once", async (t) => {
  const endpoint = await startHanging(t);
  const calls = Array.from({ length: 100 }, (_, number) =>
    acquire(endpoint, { resource: `https://${number}.hangs.example`, timeout: 300 }),
  );
  for (const call of calls) t.is((await rejection(t, call)).errorCode, "network_unavailable");
  await isServedAtOnce(t, endpoint);
});

test("a worker thread that ends with calls under way", async (t) => {
  const endpoint = await startHanging(t);
  const worker = startWorker(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication({ system: { requestTimeout: 3_000 } });
      for (let number = 0; number < argument; number += 1) {
        application.acquireToken(`https://${number}.hangs.example`).catch(() => {});
      }
      report("asked");
    },
    { argument: PLACES + 9, env: endpoint.env },
  );
  t.is(await worker.next(), "asked");
  await endpoint.arrived(PLACES);
  await worker.terminate();
  await isServedAtOnce(t, endpoint);
  const sent = endpoint.resources.length;
  t.true(sent <= PLACES + 9 + 1);
  await sleep(4_500); // Longer than the exchange under way and the wait for a retry.
  t.is(endpoint.resources.length, sent);
});

test("a caller who comes back to a request that was left joins it", async (t) => {
  let release;
  const endpoint = await startTokenServer(t, (_, response) => {
    release = () => sendToken(response);
  });
  const controller = new AbortController();
  const left = acquire(endpoint, { resource: RESOURCE, abortSignal: controller.signal });
  await endpoint.arrived(1);
  controller.abort();
  await rejection(t, left);
  const joined = acquire(endpoint);
  release();
  t.is((await joined).accessToken, "a-token");
  t.is(endpoint.resources.length, 1);
});

for (const count of [PLACES, 100]) {
  test(`${count} calls by a networkClient that itself awaits a token`, async (t) => {
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
    t.true(performance.now() - started < AT_ONCE);
    t.is(endpoint.resources.length, 1);
  });
}
