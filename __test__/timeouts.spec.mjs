// The three timeouts and the one of a single call, each against an endpoint that keeps silent. What is
// asserted is how the calls end, never how long they took.

import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import test from "ava";
import { acquire, acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";
import { startUnresponsiveServer } from "./support/unresponsive-server.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** Over before anything can answer that is not to. */
const SHORT = 50;
/** Long enough for a request to arrive on a busy machine. */
const ENOUGH = 500;

/** What every error about time looks like. */
function isLate(t, error, { source = "AppService", attempts = 1, named }) {
  t.is(error.errorCode, "network_unavailable");
  t.is(error.source, source);
  t.is(error.attempts, attempts);
  t.true(error.retryable);
  t.false("statusCode" in error);
  t.true(error.message.includes(named), error.message);
}

test("requestTimeout: no answer", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const call = acquireWithoutRetries(endpoint, RESOURCE, { system: { requestTimeout: SHORT } });
  const error = await expectError(t, call, "network_unavailable");
  isLate(t, error, { named: "system.requestTimeout" });
  t.is(error.endpoint, endpoint.url);
});

test("requestTimeout: a body that does not end", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ headers: { "Content-Length": 100_000 } });
  const call = acquireWithoutRetries(endpoint, RESOURCE, { system: { requestTimeout: SHORT } });
  isLate(t, await expectError(t, call), { named: "system.requestTimeout" });
});

test("requestTimeout: once more, then an error", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const application = new ManagedIdentityApplication({ system: { requestTimeout: ENOUGH } });
  const error = await expectError(t, acquire(endpoint, RESOURCE, application));
  isLate(t, error, { attempts: 2, named: "system.requestTimeout" });
  t.is(endpoint.requests.length, 2);
});

test("requestTimeout: the second try may bring the token", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next({ headers: { "Content-Length": 100_000 } });
  const application = new ManagedIdentityApplication({ system: { requestTimeout: ENOUGH } });
  t.false((await acquire(endpoint, RESOURCE, application)).fromCache);
  t.is(endpoint.requests.length, 2);
});

test("totalTimeout", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  endpoint.hold();
  const application = new ManagedIdentityApplication({ system: { totalTimeout: SHORT } });
  const error = await expectError(t, acquire(endpoint, RESOURCE, application));
  isLate(t, error, { source: "DefaultToImds", named: `${SHORT} ms` });
  t.true(error.message.includes("totalTimeout"), error.message);
});

test("timeout of a call replaces totalTimeout", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const system = { totalTimeout: 600_000 };
  const error = await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout: SHORT }, { system }),
  );
  isLate(t, error, { named: `${SHORT} ms` });
});

test("timeout of a call replaces a shorter totalTimeout, too", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const application = new ManagedIdentityApplication({ system: { totalTimeout: SHORT } });
  const short = acquire(endpoint, RESOURCE, application);
  const long = acquire(endpoint, { resource: RESOURCE, timeout: 60_000 }, application);
  isLate(t, await expectError(t, short), { named: `${SHORT} ms` });
  release();
  t.false((await long).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("a fraction of a millisecond over one is taken", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout: 1.5 }),
    "network_unavailable",
  );
});

test("each waiter has a timer of its own, and the flight goes on for the last", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const release = endpoint.hold();
  const calls = [10, 30, 60].map((timeout) =>
    acquire(endpoint, { resource: RESOURCE, timeout }, application),
  );
  const patient = [acquire(endpoint, RESOURCE, application), acquire(endpoint)];
  for (const [index, call] of calls.entries()) {
    isLate(t, await expectError(t, call), { named: `${[10, 30, 60][index]} ms` });
  }
  release();
  const results = await Promise.all(patient);
  t.true(results[0].accessToken === results[1].accessToken);
  t.is(endpoint.requests.length, 1);
});

test("a late waiter that has time puts the end of the flight off", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const starter = acquire(endpoint, { resource: RESOURCE, timeout: ENOUGH });
  await endpoint.waitForRequests(1);
  const late = acquire(endpoint, { resource: RESOURCE, timeout: 60_000 });
  isLate(t, await expectError(t, starter), { named: `${ENOUGH} ms` });
  release();
  t.false((await late).fromCache);
  t.is(endpoint.requests.length, 1);
});

test("when all waiters have given up, the next call starts anew", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const request = { resource: RESOURCE, timeout: ENOUGH };
  await expectError(t, acquire(endpoint, request), "network_unavailable");
  await expectError(t, acquire(endpoint, request), "network_unavailable");
  t.is(endpoint.requests.length, 2);
  release();
  t.false((await acquire(endpoint)).fromCache);
});

test("a cached token needs no time", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquire(endpoint);
  t.true((await acquire(endpoint, { resource: RESOURCE, timeout: 1 })).fromCache);
});

test("totalTimeout cuts the chain of retries; the error says what came before", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 503 });
  const error = await expectError(t, acquire(endpoint, { resource: RESOURCE, timeout: 500 }));
  t.is(error.statusCode, 503);
  t.is(error.attempts, 1);
  t.true(error.retryable);
});

test("totalTimeout cuts an exchange of a retry; the error says what came before", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 503 }, { delay: 60_000 }]);
  const error = await expectError(
    t,
    acquire(endpoint, { resource: RESOURCE, timeout: 2_500 }),
    "network_unavailable",
  );
  t.is(error.attempts, 2);
  t.is(error.statusCode, 503);
  t.true(error.message.includes("503"), error.message);
});

(process.platform === "linux" ? test : test.skip)("connectTimeout: nobody accepts", async (t) => {
  const port = await startUnresponsiveServer(t);
  const env = { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "x" };
  const application = new ManagedIdentityApplication({
    system: { connectTimeout: SHORT, disableInternalRetries: true },
  });
  const error = await expectError(
    t,
    withEnvironment(env, () => application.acquireToken(RESOURCE)),
  );
  isLate(t, error, { named: "system.connectTimeout" });
  t.is(error.cause.code, "ETIMEDOUT");
});

test("applications with other limits for a connection share connections: 32 to an endpoint, whoever asks", async (t) => {
  const connections = { now: 0, most: 0 };
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url, "http://127.0.0.1");
    response.end(JSON.stringify({ access_token: searchParams.get("resource"), expires_in: 3_600 }));
  });
  server.on("connection", (socket) => {
    connections.now += 1;
    connections.most = Math.max(connections.most, connections.now);
    socket.on("close", () => {
      connections.now -= 1;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address();
  const env = { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "x" };
  for (const connectTimeout of [2_999, 3_000, 60_000]) {
    const application = new ManagedIdentityApplication({ system: { connectTimeout } });
    const ask = (_, index) => application.acquireToken(`https://${connectTimeout}-${index}.example`);
    await withEnvironment(env, () => Promise.all(Array.from({ length: 100 }, ask)));
  }
  t.true(connections.most <= 32, `${connections.most}`);
});
