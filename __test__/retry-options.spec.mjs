// `system.retryOptions`: valid and invalid values, and the number of requests. The Rust tests cover the times of
// requests, in paused time.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

const withOptions = (retryOptions, system = {}) =>
  new ManagedIdentityApplication({ system: { ...system, retryOptions } });

const FAST = { retryDelayInMs: 1, maxRetryDelayInMs: 5 };

test("absent values and empty options have no effect", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const options of [
    undefined,
    null,
    {},
    { maxRetries: undefined, retryDelayInMs: null, maxRetryDelayInMs: undefined },
  ]) {
    endpoint.next({ status: 503 });
    const result = await acquire(endpoint, { resource: RESOURCE, forceRefresh: true }, withOptions(options));
    t.is(result.metadata.attempts, 2);
  }
});

test("invalid options are rejected by name", (t) => {
  const names = ["maxRetries", "retryDelayInMs", "maxRetryDelayInMs"];
  const invalid = [
    "1",
    true,
    {},
    [],
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    600_001,
    () => 1,
    Symbol("1"),
    1n,
  ];
  const CASES = [
    ...names.flatMap((name) => invalid.map((value) => [{ [name]: value }, `system.retryOptions.${name} `])),
    ...[11, 1.5].map((value) => [{ maxRetries: value }, "system.retryOptions.maxRetries "]),
    ...[3, "3", true, [], () => 3].map((value) => [value, "system.retryOptions "]),
  ];
  for (const [options, beginning] of CASES) {
    for (const system of [{}, { disableInternalRetries: true }]) {
      const error = t.throws(() => withOptions(options, system), { instanceOf: ManagedIdentityError });
      t.is(error.errorCode, "invalid_configuration");
      t.true(error.errorMessage.startsWith(beginning), error.errorMessage);
    }
  }
});

test("the limits are accepted", (t) => {
  for (const options of [
    { maxRetries: 0, retryDelayInMs: 0, maxRetryDelayInMs: 0 },
    { maxRetries: 10, retryDelayInMs: 600_000, maxRetryDelayInMs: 600_000 },
    { retryDelayInMs: 0.5 },
  ]) {
    t.notThrows(() => withOptions(options));
  }
});

for (const maxRetries of [0, 1, 5, 10]) {
  test(`maxRetries ${maxRetries} is the number of retries for every status`, async (t) => {
    for (const status of [404, 408, 500, 503]) {
      const endpoint = await startEndpoint(t);
      endpoint.always({ status });
      const error = await expectError(t, acquire(endpoint, RESOURCE, withOptions({ ...FAST, maxRetries })));
      t.deepEqual([error.attempts, endpoint.requests.length], [maxRetries + 1, maxRetries + 1], `${status}`);
    }
  });
}

test("a 429 is retried at most seven times, and maxRetryDelayInMs limits the delays", async (t) => {
  for (const [maxRetries, attempts] of [
    [2, 3],
    [10, 8],
  ]) {
    const endpoint = await startEndpoint(t);
    endpoint.always({ status: 429 });
    const error = await expectError(t, acquire(endpoint, RESOURCE, withOptions({ ...FAST, maxRetries })));
    t.is(error.attempts, attempts);
  }
});

test("a Retry-After longer than maxRetryDelayInMs is not retried", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 503, headers: { "Retry-After": "60" } });
  const error = await expectError(t, acquire(endpoint, RESOURCE, withOptions({ maxRetryDelayInMs: 1_000 })));
  t.deepEqual([error.attempts, error.retryAfterMs, error.retryable], [1, 60_000, true]);
});

test("final errors are not retried, and disableInternalRetries takes precedence", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ status: 400 });
  const application = withOptions({ ...FAST, maxRetries: 10 });
  t.is((await expectError(t, acquire(endpoint, RESOURCE, application))).attempts, 1);
  endpoint.next({ status: 503 });
  const withoutRetries = withOptions({ ...FAST, maxRetries: 10 }, { disableInternalRetries: true });
  t.is((await expectError(t, acquire(endpoint, RESOURCE, withoutRetries))).attempts, 1);
});

test("calls share a request only if their options are equal", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const calls = withFrozenClock(() =>
    [{ maxRetries: 1 }, { maxRetries: 1 }, { maxRetries: 2 }, undefined, {}].map((options) =>
      acquire(endpoint, RESOURCE, withOptions(options)),
    ),
  );
  await endpoint.waitForRequests(3);
  release();
  await Promise.all(calls);
  t.is(endpoint.requests.length, 3);
});
