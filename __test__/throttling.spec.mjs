// An endpoint that throttles: a fleet that starts together gets its tokens, and errors say how long to wait.

import { once } from "node:events";
import { createServer } from "node:http";
import test from "ava";
import { acquire, acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { startProcess } from "./support/program.mjs";
import { expectError } from "./support/rejection.mjs";
import { sendToken, startTokenServer } from "./support/token-server.mjs";

/** How many processes start together, and how many requests a second the endpoint lets through. */
const FLEET = 30;
const PER_SECOND = 5;

/** Lets so many requests of each second through, and answers the others with 429, without a word on how long to wait. */
function throttle() {
  let second = 0;
  let left = 0;
  return (_, response) => {
    const now = Math.floor(performance.now() / 1_000);
    if (now !== second) [second, left] = [now, PER_SECOND];
    left -= 1;
    if (left >= 0) sendToken(response);
    else response.writeHead(429, { "Content-Type": "application/json" }).end("{}");
  };
}

/** A server that lets all who have come go on at one time. */
async function startingLine(t, count) {
  const waiting = [];
  const server = createServer((_, response) => {
    waiting.push(response);
    if (waiting.length === count) for (const each of waiting) each.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

test.serial(
  "30 processes start together, 5 requests a second are let through: at least 29 get a token",
  async (t) => {
    t.timeout(120_000);
    const endpoint = await startTokenServer(t, throttle());
    const line = await startingLine(t, FLEET);
    const outcomes = await Promise.all(
      Array.from({ length: FLEET }, () => {
        const { next } = startProcess(
          t,
          ({ native, require, argument: [line, resource], report }) => {
            const application = new native.ManagedIdentityApplication();
            require("node:http").get(line, () => {
              application.acquireToken(resource).then(
                () => report("token"),
                ({ message }) => report(message),
              );
            });
          },
          { argument: [line, RESOURCE], env: endpoint.env },
        );
        return next();
      }),
    );
    const tokens = outcomes.filter((outcome) => outcome === "token");
    t.true(tokens.length >= FLEET - 1, JSON.stringify(outcomes));
  },
);

test("retryAfterMs is how long the endpoint asked to wait", async (t) => {
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
  // The 429 holds for every caller, whose error says how much of it is left.
  const error = await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: "https://other.example", timeout: 5_000 }),
  );
  t.is(error.statusCode, 429);
  t.true(error.retryAfterMs > 10_000 && error.retryAfterMs <= 60_000, String(error.retryAfterMs));
});

test("retryAfterMs is absent where the endpoint named no time, or did not answer", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const answer of [{ status: 503 }, { status: 400, headers: { "Retry-After": "soon" } }]) {
    endpoint.next(answer);
    const error = await expectError(t, acquireWithoutRetries(endpoint));
    t.false("retryAfterMs" in error);
  }
  const error = await expectError(t, acquire(endpoint, "nonsense"), "invalid_resource");
  t.false("retryAfterMs" in error);
});
