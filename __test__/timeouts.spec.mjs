// The three timeouts of an application and the timeout of a call, at an endpoint that does not respond. The tests
// assert how calls end, never how long they took.

import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { acquire, acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";
import { startUnresponsiveServer } from "./support/unresponsive-server.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** A timeout that ends before any response that is not meant to arrive. */
const SHORT_MS = 50;
/** Long enough for a request to arrive on a busy machine. */
const SUFFICIENT_MS = 5_000;

/** Asserts the fields of a timeout error. */
function assertTimeout(t, error, { source = "AppService", attempts = 1, part }) {
  t.is(error.errorCode, "network_unavailable");
  t.is(error.source, source);
  t.is(error.attempts, attempts);
  t.true(error.retryable);
  t.false("statusCode" in error);
  t.true(error.message.includes(part), error.message);
}

test("requestTimeout applies if no response arrives", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const call = acquireWithoutRetries(endpoint, RESOURCE, { system: { requestTimeout: SHORT_MS } });
  const error = await expectError(t, call, "network_unavailable");
  assertTimeout(t, error, { part: "system.requestTimeout" });
  t.is(error.endpoint, endpoint.url);
});

test("requestTimeout applies if a body does not end", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ headers: { "Content-Length": 100_000 } });
  const call = acquireWithoutRetries(endpoint, RESOURCE, { system: { requestTimeout: SHORT_MS } });
  assertTimeout(t, await expectError(t, call), { part: "system.requestTimeout" });
});

test("a request timeout is retried once", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const application = new ManagedIdentityApplication({ system: { requestTimeout: SUFFICIENT_MS } });
  const error = await expectError(t, acquire(endpoint, RESOURCE, application));
  assertTimeout(t, error, { attempts: 2, part: "system.requestTimeout" });
  t.is(endpoint.requests.length, 2);
});

test("the retry after a request timeout can return the token", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ headers: { "Content-Length": 100_000 } });
  const application = new ManagedIdentityApplication({ system: { requestTimeout: SUFFICIENT_MS } });
  t.false((await acquire(endpoint, RESOURCE, application)).fromCache);
  t.is(endpoint.requests.length, 2);
});

test("totalTimeout applies if no response arrives", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  endpoint.hold();
  const application = new ManagedIdentityApplication({ system: { totalTimeout: SHORT_MS } });
  const error = await expectError(t, acquire(endpoint, RESOURCE, application));
  assertTimeout(t, error, { source: "DefaultToImds", part: `${SHORT_MS} ms` });
  t.true(error.message.includes("totalTimeout"), error.message);
});

test("the timeout of a call replaces a longer totalTimeout", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const system = { totalTimeout: 600_000 };
  const error = await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout: SHORT_MS }, { system }),
  );
  assertTimeout(t, error, { part: `${SHORT_MS} ms` });
});

test("the timeout of a call replaces a shorter totalTimeout", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const application = new ManagedIdentityApplication({ system: { totalTimeout: SHORT_MS } });
  // First, since the request ends with its last waiter, even if this process starts the second call late.
  const long = acquire(endpoint, { resource: RESOURCE, timeout: 60_000 }, application);
  const short = acquire(endpoint, RESOURCE, application);
  assertTimeout(t, await expectError(t, short), { part: `${SHORT_MS} ms` });
  release();
  t.false((await long).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("a timeout between two whole milliseconds is accepted", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout: 1.5 }),
    "network_unavailable",
  );
});

test("each waiter has its own timeout, and the request continues for the last one", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  // First, since the request ends with its last waiter, even if this process starts the other calls late.
  const remaining = [acquire(endpoint, RESOURCE, application), acquire(endpoint)];
  const calls = [10, 30, 60].map((timeout) =>
    acquire(endpoint, { resource: RESOURCE, timeout }, application),
  );
  for (const [index, call] of calls.entries()) {
    assertTimeout(t, await expectError(t, call), { part: `${[10, 30, 60][index]} ms` });
  }
  release();
  const results = await Promise.all(remaining);
  t.true(results[0].accessToken === results[1].accessToken);
  t.is(endpoint.requests.length, 1);
});

test("a waiter with a longer timeout extends the deadline of the request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const starter = acquire(endpoint, { resource: RESOURCE, timeout: SUFFICIENT_MS });
  await endpoint.waitForRequests(1);
  const joined = acquire(endpoint, { resource: RESOURCE, timeout: 60_000 });
  assertTimeout(t, await expectError(t, starter), { part: `${SUFFICIENT_MS} ms` });
  release();
  t.false((await joined).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("after all waiters have timed out, the next call sends a new request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const request = { resource: RESOURCE, timeout: SUFFICIENT_MS };
  await expectError(t, acquire(endpoint, request), "network_unavailable");
  await expectError(t, acquire(endpoint, request), "network_unavailable");
  t.is(endpoint.requests.length, 2);
  release();
  t.false((await acquire(endpoint)).fromCache);
});

test("a cached token is returned with any timeout", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  t.true((await acquire(endpoint, { resource: RESOURCE, timeout: 1 })).fromCache);
});

test("totalTimeout ends the retries, and the error contains the last failure", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 503 });
  const application = new ManagedIdentityApplication({
    system: { retryOptions: { retryDelayInMs: 60_000 } },
  });
  const request = { resource: RESOURCE, timeout: SUFFICIENT_MS };
  const error = await expectError(t, acquire(endpoint, request, application));
  t.is(error.statusCode, 503);
  t.is(error.attempts, 1);
  t.true(error.retryable);
});

test("totalTimeout ends a retry in flight, and the error contains the last failure", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 503 }, { delay: 60_000 }]);
  const application = new ManagedIdentityApplication({ system: { retryOptions: { retryDelayInMs: 1 } } });
  const call = acquire(endpoint, { resource: RESOURCE, timeout: SUFFICIENT_MS }, application);
  const error = await expectError(t, call, "network_unavailable");
  t.is(error.attempts, 2);
  t.is(error.statusCode, 503);
  t.true(error.message.includes("503"), error.message);
});

testWith(test, "unanswered connections")("connectTimeout applies if no connection is accepted", async (t) => {
  const port = await startUnresponsiveServer(t);
  const env = { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "x" };
  const application = new ManagedIdentityApplication({
    system: { connectTimeout: SHORT_MS, disableInternalRetries: true },
  });
  const error = await expectError(
    t,
    withEnvironment(env, () => application.acquireToken(RESOURCE)),
  );
  assertTimeout(t, error, { part: "system.connectTimeout" });
  t.is(error.cause.code, "ETIMEDOUT");
});

test("applications with different connect timeouts share connections: at most 32 per endpoint", async (t) => {
  const connections = new Set();
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url, "http://127.0.0.1");
    response.end(JSON.stringify({ access_token: searchParams.get("resource"), expires_in: 3_600 }));
  });
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => {
      connections.delete(socket);
      server.emit("disconnection");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address();
  const env = { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "x" };
  for (const connectTimeout of [59_999, 60_000, 120_000]) {
    const application = new ManagedIdentityApplication({ system: { connectTimeout } });
    const acquireNth = (_, index) => application.acquireToken(`https://${connectTimeout}-${index}.example`);
    await withEnvironment(env, () => Promise.all(Array.from({ length: 100 }, acquireNth)));
    // A busy server sees late that the application has closed connections. Idle ones stay open for longer than this.
    const signal = AbortSignal.timeout(3_000);
    while (connections.size > 32 && !signal.aborted) {
      await once(server, "disconnection", { signal }).catch(() => {});
    }
    t.true(connections.size <= 32, `${connections.size} connections`);
  }
});
