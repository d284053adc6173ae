// Clock jumps, in real processes under libfaketime. The Rust tests cover waiting, in paused time.

import { fileURLToPath } from "node:url";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { startEndpoint } from "./support/endpoint.mjs";
import { startWithFaketime } from "./support/faketime.mjs";

const HOUR = 3_600;
const DAY = 24 * HOUR;
const RESOURCE = "https://vault.azure.net";
const PROGRAM = fileURLToPath(new URL("wall-clock/caller.mjs", import.meta.url));

/** Starts a process whose clocks `jump(seconds)` sets relative to the real time. */
async function startCaller(t, options) {
  const send = await startWithFaketime(t, PROGRAM, options);
  return {
    acquire: (endpoint, options = {}) =>
      send({ acquire: { env: endpoint.env, resources: [RESOURCE], ...options } }),
    jump: (seconds) => send({ jump: seconds }),
  };
}

/** A test that needs libfaketime. */
function faketimeTest(title, body) {
  testWith(test, "libfaketime")(title, (t) => {
    t.timeout(60_000);
    return body(t);
  });
}

faketimeTest("a token that expired while the machine slept is not returned", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t, { isSuspended: true })]);
  endpoint.next([{ expiresIn: HOUR }, { expiresIn: DAY }]);
  const first = await caller.acquire(endpoint);
  t.deepEqual((await caller.acquire(endpoint)).results, [{ token: first.results[0].token, fromCache: true }]);
  await caller.jump(2 * HOUR);
  const { results } = await caller.acquire(endpoint);
  t.false(results[0].fromCache);
  t.not(results[0].token, first.results[0].token);
  t.is(endpoint.requests.length, 2);
});

faketimeTest("setting the clock back an hour sends no additional requests", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t, { isSuspended: true })]);
  const first = await caller.acquire(endpoint);
  await caller.jump(-HOUR);
  for (let call = 0; call < 20; call += 1) {
    t.deepEqual((await caller.acquire(endpoint)).results, [
      { token: first.results[0].token, fromCache: true },
    ]);
  }
  t.is(endpoint.requests.length, 1);
});

faketimeTest(
  "an endpoint that issues only nearly expired tokens is called at most once in 30 s",
  async (t) => {
    const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
    endpoint.always({ expiresOn: Math.floor(Date.now() / 1000) + 240 });
    for (const [at, requests] of [
      [0, 1],
      [20, 1],
      [40, 2],
      [60, 2],
      [80, 3],
    ]) {
      await caller.jump(at);
      for (let call = 0; call < 20; call += 1) t.is((await caller.acquire(endpoint)).error, undefined);
      t.is(endpoint.requests.length, requests, `after ${at} s`);
    }
  },
);

faketimeTest(
  "failed background refreshes back off and are reported, and calls return the cached token",
  async (t) => {
    const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
    const { results } = await caller.acquire(endpoint);
    endpoint.always({ status: 400 });
    const half = DAY / 2 + 600;
    // Refreshes after 30 s, 60 s and 120 s.
    for (const [after, requests] of [
      [0, 2],
      [20, 2],
      [31, 3],
      [80, 3],
      [93, 4],
      [200, 4],
    ]) {
      await caller.jump(half + after);
      for (let call = 0; call < 5; call += 1) {
        t.deepEqual((await caller.acquire(endpoint)).results, [{ token: results[0].token, fromCache: true }]);
      }
      await endpoint.waitForRequests(requests);
      t.is(endpoint.requests.length, requests, `after ${after} s`);
      if (requests > 1) await caller.acquire(endpoint, { refreshes: requests - 1 });
    }
    endpoint.always(null);
    await caller.jump(half + 300);
    await caller.acquire(endpoint);
    const { refreshes } = await caller.acquire(endpoint, { refreshes: 4 });
    t.deepEqual(
      refreshes.map(({ successful, code, channelCode }) => [successful, code, channelCode]),
      [
        [false, "managed_identity_failed_response", "managed_identity_failed_response"],
        [false, "managed_identity_failed_response", "managed_identity_failed_response"],
        [false, "managed_identity_failed_response", "managed_identity_failed_response"],
        [true, undefined, undefined],
      ],
    );
    t.not((await caller.acquire(endpoint)).results[0].token, results[0].token);
  },
);

faketimeTest(
  "reports of a refresh contain no token and no secret, even if the endpoint repeats them",
  async (t) => {
    const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
    const secrets = [endpoint.env.IDENTITY_HEADER];
    const repeatSecrets = (answer, { headers }) => {
      secrets.push(answer.access_token);
      return {
        ...answer,
        error_description: `${headers["x-identity-header"]} ${answer.access_token}`,
        error: "denied",
      };
    };
    const recordToken = (answer) => {
      secrets.push(answer.access_token);
      return answer;
    };
    endpoint.next([recordToken, repeatSecrets, recordToken].map((body) => ({ body })));
    await caller.acquire(endpoint);
    await caller.jump(DAY / 2 + 600);
    await caller.acquire(endpoint);
    await caller.acquire(endpoint, { refreshes: 1 });
    await caller.jump(DAY / 2 + 660);
    await caller.acquire(endpoint);
    const { refreshes, observed } = await caller.acquire(endpoint, { refreshes: 2 });
    t.deepEqual(
      refreshes.map(({ successful, code }) => [successful, code]),
      [
        [false, "denied"],
        [true, undefined],
      ],
    );
    t.is(secrets.length, 4);
    for (const [observer, text] of Object.entries(observed)) {
      t.true(text.includes("denied"), `${observer} has no refresh error`);
      // Quoted responses are truncated, so part of a token could remain.
      for (const secret of secrets) t.false(text.includes(secret.slice(0, 200)), observer);
    }
  },
);

faketimeTest(
  "a thousand cached tokens become stale at once: all calls are served, with five refreshes at a time",
  async (t) => {
    const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
    const resources = Array.from({ length: 1_000 }, (_, index) => `https://${index}.example`);
    await caller.acquire(endpoint, { resources });
    t.is(endpoint.requests.length, 1_000);
    const release = endpoint.hold();
    await caller.jump(DAY / 2 + 600);
    const { results } = await caller.acquire(endpoint, { resources });
    t.is(results.filter(({ fromCache }) => fromCache).length, 1_000);
    await endpoint.waitForRequests(1_005);
    await caller.acquire(endpoint, { resources });
    t.is(endpoint.requests.length, 1_005);
    release();
  },
);
