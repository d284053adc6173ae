// An endpoint that throttles: processes that start together get their tokens, and errors contain the delay to wait.

import { once } from "node:events";
import { createServer } from "node:http";
import test from "ava";
import { startProcess } from "./support/child-program.mjs";
import { acquire, acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { expectError } from "./support/rejection.mjs";
import { sendToken, startTokenServer } from "./support/token-server.mjs";

/** The number of processes that start together, and the number of requests that the endpoint accepts per second. */
const FLEET = 30;
const PER_SECOND = 5;

/** Accepts some requests per second and responds to the others with 429, without Retry-After. */
function throttle() {
  let second = 0;
  let remaining = 0;
  return (_, response) => {
    const now = Math.floor(performance.now() / 1_000);
    if (now !== second) [second, remaining] = [now, PER_SECOND];
    remaining -= 1;
    if (remaining >= 0) sendToken(response);
    else response.writeHead(429, { "Content-Type": "application/json" }).end("{}");
  };
}

/** A server that responds to its requests once `count` have arrived. */
async function startBarrier(t, count) {
  const waiting = [];
  const server = createServer((_, response) => {
    waiting.push(response);
    if (waiting.length === count) for (const response of waiting) response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

test.serial(
  "if 30 processes start together at an endpoint that accepts 5 requests per second, at least 29 get a token",
  async (t) => {
    t.timeout(120_000);
    const endpoint = await startTokenServer(t, throttle());
    const barrier = await startBarrier(t, FLEET);
    const outcomes = await Promise.all(
      Array.from({ length: FLEET }, () => {
        const { next } = startProcess(
          t,
          ({ native, require, argument: [barrier, resource], report }) => {
            const application = new native.ManagedIdentityApplication();
            require("node:http").get(barrier, () => {
              application.acquireToken(resource).then(
                () => report("token"),
                ({ message }) => report(message),
              );
            });
          },
          { argument: [barrier, RESOURCE], env: endpoint.env },
        );
        return next();
      }),
    );
    const tokens = outcomes.filter((outcome) => outcome === "token");
    t.true(tokens.length >= FLEET - 1, JSON.stringify(outcomes));
  },
);

test("retryAfterMs is the delay in the response's Retry-After", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [status, value, expected] of [
    [503, "7", 7_000],
    [400, "0", 0],
    [429, "121", 121_000],
  ]) {
    endpoint.next({ status, headers: { "Retry-After": value } });
    const error = await expectError(
      t,
      acquireWithoutRetries(endpoint, { resource: RESOURCE, forceRefresh: true }),
    );
    t.is(error.retryAfterMs, expected);
    t.is(error.statusCode, status);
  }
  // The 429 blocks every call; the error contains the remaining delay.
  const error = await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: "https://other.example", timeout: 30_000 }),
  );
  t.is(error.statusCode, 429);
  t.true(error.retryAfterMs > 10_000 && error.retryAfterMs <= 60_000, String(error.retryAfterMs));
});

test("retryAfterMs is absent without a valid Retry-After or without a response", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const fault of [{ status: 503 }, { status: 400, headers: { "Retry-After": "soon" } }]) {
    endpoint.next(fault);
    const error = await expectError(t, acquireWithoutRetries(endpoint));
    t.false("retryAfterMs" in error);
  }
  const error = await expectError(t, acquire(endpoint, "nonsense"), "invalid_resource");
  t.false("retryAfterMs" in error);
});
