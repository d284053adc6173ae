// Clocks that leap, on real processes under libfaketime. What takes waiting is proven in Rust, in paused time.

import { fileURLToPath } from "node:url";
import test from "ava";
import { startEndpoint } from "./support/endpoint.mjs";
import { hasFaketime, logMissingFaketime, startWithFaketime } from "./support/faketime.mjs";

const HOUR = 3_600;
const DAY = 24 * HOUR;
const RESOURCE = "https://vault.azure.net";
const PROGRAM = fileURLToPath(new URL("wall-clock/caller.mjs", import.meta.url));

/** A process whose clocks are set by `leap(seconds)`, from the time that it really is. */
async function startCaller(t, options) {
  const send = await startWithFaketime(t, PROGRAM, options);
  return {
    ask: (endpoint, options = {}) => send({ ask: { env: endpoint.env, resources: [RESOURCE], ...options } }),
    leap: (seconds) => send({ leap: seconds }),
  };
}

/** A test that needs a clock that moves. */
function timed(title, body) {
  test(title, async (t) => {
    t.timeout(60_000);
    return hasFaketime ? body(t) : logMissingFaketime(t);
  });
}

timed("a machine that slept past a token's end does not serve it", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t, { isSuspended: true })]);
  endpoint.next([{ expiresIn: HOUR }, { expiresIn: DAY }]);
  const first = await caller.ask(endpoint);
  t.deepEqual((await caller.ask(endpoint)).served, [{ token: first.served[0].token, fromCache: true }]);
  await caller.leap(2 * HOUR);
  const { served } = await caller.ask(endpoint);
  t.false(served[0].fromCache);
  t.not(served[0].token, first.served[0].token);
  t.is(endpoint.requests.length, 2);
});

timed("a clock that is set back an hour costs nothing", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t, { isSuspended: true })]);
  const first = await caller.ask(endpoint);
  await caller.leap(-HOUR);
  for (let call = 0; call < 20; call += 1) {
    t.deepEqual((await caller.ask(endpoint)).served, [{ token: first.served[0].token, fromCache: true }]);
  }
  t.is(endpoint.requests.length, 1);
});

timed("an endpoint that hands out a nearly expired token is asked once in 30 s", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
  endpoint.always({ expiresOn: Math.floor(Date.now() / 1000) + 240 });
  for (const [at, requests] of [
    [0, 1],
    [20, 1],
    [40, 2],
    [60, 2],
    [80, 3],
  ]) {
    await caller.leap(at);
    for (let call = 0; call < 20; call += 1) t.is((await caller.ask(endpoint)).error, undefined);
    t.is(endpoint.requests.length, requests, `after ${at} s`);
  }
});

timed("a refresh that fails backs off, tells its observers, and is no caller's problem", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
  const { served } = await caller.ask(endpoint);
  endpoint.always({ status: 400 });
  const half = DAY / 2 + 600;
  // 30 s, then 60, then 120.
  for (const [after, requests] of [
    [0, 2],
    [20, 2],
    [31, 3],
    [80, 3],
    [93, 4],
    [200, 4],
  ]) {
    await caller.leap(half + after);
    for (let call = 0; call < 5; call += 1) {
      t.deepEqual((await caller.ask(endpoint)).served, [{ token: served[0].token, fromCache: true }]);
    }
    await endpoint.waitForRequests(requests);
    t.is(endpoint.requests.length, requests, `after ${after} s`);
    if (requests > 1) await caller.ask(endpoint, { refreshes: requests - 1 });
  }
  endpoint.always(null);
  await caller.leap(half + 300);
  await caller.ask(endpoint);
  const { refreshes } = await caller.ask(endpoint, { refreshes: 4 });
  t.deepEqual(
    refreshes.map(({ successful, code, told }) => [successful, code, told]),
    [
      [false, "managed_identity_failed_response", "managed_identity_failed_response"],
      [false, "managed_identity_failed_response", "managed_identity_failed_response"],
      [false, "managed_identity_failed_response", "managed_identity_failed_response"],
      [true, undefined, undefined],
    ],
  );
  t.not((await caller.ask(endpoint)).served[0].token, served[0].token);
});

timed(
  "what is told of a refresh holds no token and no secret, even if the endpoint repeats them",
  async (t) => {
    const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
    const secrets = [endpoint.env.IDENTITY_HEADER];
    const repeat = (answer, { headers }) => {
      secrets.push(answer.access_token);
      return {
        ...answer,
        error_description: `${headers["x-identity-header"]} ${answer.access_token}`,
        error: "denied",
      };
    };
    const grant = (answer) => {
      secrets.push(answer.access_token);
      return answer;
    };
    endpoint.next([grant, repeat, grant].map((body) => ({ body })));
    await caller.ask(endpoint);
    await caller.leap(DAY / 2 + 600);
    await caller.ask(endpoint);
    await caller.ask(endpoint, { refreshes: 1 });
    await caller.leap(DAY / 2 + 660);
    await caller.ask(endpoint);
    const { refreshes, heard } = await caller.ask(endpoint, { refreshes: 2 });
    t.deepEqual(
      refreshes.map(({ successful, code }) => [successful, code]),
      [
        [false, "denied"],
        [true, undefined],
      ],
    );
    t.is(secrets.length, 4);
    for (const [ear, text] of Object.entries(heard)) {
      t.true(text.includes("denied"), `${ear} has heard of it`);
      // What is quoted of an endpoint's words ends somewhere: a token would come through in part.
      for (const secret of secrets) t.false(text.includes(secret.slice(0, 200)), ear);
    }
  },
);

timed("a thousand keys that age at once: everybody is served, five refreshes at a time", async (t) => {
  const [endpoint, caller] = await Promise.all([startEndpoint(t), startCaller(t)]);
  const resources = Array.from({ length: 1_000 }, (_, index) => `https://${index}.example`);
  await caller.ask(endpoint, { resources });
  t.is(endpoint.requests.length, 1_000);
  const release = endpoint.hold();
  await caller.leap(DAY / 2 + 600);
  const { served } = await caller.ask(endpoint, { resources });
  t.is(served.filter(({ fromCache }) => fromCache).length, 1_000);
  await endpoint.waitForRequests(1_005);
  await caller.ask(endpoint, { resources });
  t.is(endpoint.requests.length, 1_005);
  release();
});
