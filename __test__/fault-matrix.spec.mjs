// The fault matrix: every fault of fault-matrix/table.mjs over real sockets, with every source and every state of the
// cache. Ageing a cached token requires libfaketime, in a child process.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import test from "ava";
import { document, path } from "./fault-matrix/document.mjs";
import { startServer } from "./fault-matrix/server.mjs";
import { certificates, SOURCES } from "./fault-matrix/sources.mjs";
import { CACHE_STATES, expectedOutcome, faultsOf, isRetried, requestsFor } from "./fault-matrix/table.mjs";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { RESOURCE } from "./support/endpoint.mjs";
import { startWithFaketime } from "./support/faketime.mjs";

const PROGRAM = fileURLToPath(new URL("fault-matrix/caller.mjs", import.meta.url));
/** For calls that wait for their timeout. Long enough for a request to arrive on a busy machine, and for its retry. */
const SHORT_TIMEOUTS = { connectTimeout: 20_000, requestTimeout: 20_000 };
/** For all other calls. Thousands of connections of this file are open at one time. */
const LONG_TIMEOUTS = { connectTimeout: 60_000, requestTimeout: 60_000 };
const TEST_TIMEOUT_MS = 240_000;

/** The timeouts of a call with this outcome. */
function timeoutsFor(outcome) {
  return outcome.wait === undefined ? LONG_TIMEOUTS : SHORT_TIMEOUTS;
}

/** Starts a process that acquires tokens. Its clock can be moved if libfaketime is installed. */
async function startCaller(t, env) {
  const send = await startWithFaketime(t, PROGRAM, { env });
  return {
    acquire: (env, request, system = { disableInternalRetries: true, ...LONG_TIMEOUTS }) =>
      send({ acquire: { env, request, system } }),
    jump: (seconds) => send({ jump: seconds }),
  };
}

/**
 * The cells in groups that run one after another: the group of the calls that need a new token within 2 s if the cached
 * one is near expiry, and that of the calls that wait for their timeout, are not delayed by the others.
 */
function inGroups(cells) {
  const groupOf = ({ expected }) => {
    if (expected === "token") return "new tokens";
    return expected.wait === undefined ? "errors" : "timeouts";
  };
  return ["new tokens", "errors", "timeouts"].map((group) =>
    cells.filter(({ fault }) => groupOf(fault) === group),
  );
}

/** A server that must receive no connection. */
async function startUnusedServer(t) {
  const server = net.createServer((socket) => {
    unusedServer.connections += 1;
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const unusedServer = { connections: 0, origin: `http://127.0.0.1:${server.address().port}` };
  return unusedServer;
}

/** Compares the result of a call with the result that the table expects. */
function assertResult(t, actual, expected, cell) {
  if (typeof expected === "string") {
    t.deepEqual(actual, { fromCache: expected === "the cached token", isExpected: true }, cell);
    return;
  }
  const { name, errorCode, statusCode, retryable, message } = actual.error ?? {};
  t.deepEqual(
    { name, errorCode, statusCode, retryable },
    {
      name: "ManagedIdentityError",
      errorCode: expected.code,
      statusCode: expected.status,
      retryable: expected.retryable,
    },
    `${cell}: ${message ?? JSON.stringify(actual)}`,
  );
}

for (const source of SOURCES) {
  for (const state of CACHE_STATES) {
    // A call with a token near expiry waits at most 2 s for a response, which the load of the other tests must not delay.
    const run = state.name === "near expiry" ? test.serial : test;
    const capabilities = [
      ...neededBySource(source.name),
      ...(state.after === undefined ? [] : ["libfaketime"]),
    ];
    testWith(run, ...capabilities)(
      `${source.name}, ${state.name}: every fault gives the expected result`,
      async (t) => {
        t.timeout(TEST_TIMEOUT_MS);
        const [keys, caller, unusedServer] = await Promise.all([
          certificates(t),
          startCaller(t),
          startUnusedServer(t),
        ]);
        const cells = await Promise.all(
          faultsOf(source).map(async (fault) => {
            const address = fault.refuseConnections ? keys.refusedAddress : undefined;
            const server = await startServer(t, source, keys, unusedServer.origin, address);
            const env = source.env({ origin: server.origin, ...keys });
            if (state.after !== undefined) {
              const first = await caller.acquire(env, RESOURCE);
              t.deepEqual(first, { fromCache: false, isExpected: true }, JSON.stringify(first));
            }
            await server.setFault(fault);
            return { fault, server, env };
          }),
        );
        if (state.after !== undefined) await caller.jump(state.after); // No request is in flight here.
        for (const group of inGroups(cells)) {
          await Promise.all(
            group.map(async ({ fault, server, env }) => {
              const cell = `${source.name}, ${fault.name}, ${state.name}`;
              const injected = fault.refuseConnections ? undefined : once(server, "injected");
              const expected = expectedOutcome(source, fault, state);
              const system = { disableInternalRetries: true, ...timeoutsFor(expected) };
              assertResult(t, await caller.acquire(env, RESOURCE, system), expected, cell);
              await injected; // The fault may be injected after the call has returned.
              // The cached token was returned although the endpoint has not responded yet.
              if (state.serves === "immediately" && fault.expected.wait) t.true(server.isConnected(), cell);
              t.is(server.requests, requestsFor(fault), cell);
            }),
          );
        }
        t.is(unusedServer.connections, 0, "a redirect was followed");
      },
    );
  }

  testWith(test, ...neededBySource(source.name))(
    `${source.name}: a single retryable fault is retried, any other fault is final`,
    async (t) => {
      t.timeout(TEST_TIMEOUT_MS);
      const [keys, caller, unusedServer] = await Promise.all([
        certificates(t),
        startCaller(t),
        startUnusedServer(t),
      ]);
      const retry = async (fault) => {
        const server = await startServer(t, source, keys, unusedServer.origin);
        const env = source.env({ origin: server.origin, ...keys });
        await server.setFault(fault, 1);
        const retried = isRetried(source, fault);
        const expected = expectedOutcome(source, fault, CACHE_STATES[0]);
        const actual = await caller.acquire(env, RESOURCE, timeoutsFor(expected));
        const cell = `${source.name}, ${fault.name}`;
        if (retried)
          t.deepEqual(actual, { fromCache: false, isExpected: true }, `${cell}: ${actual.error?.message}`);
        else assertResult(t, actual, expected, cell);
        t.is(server.requests, requestsFor(fault) + (retried ? 1 : 0), cell);
      };
      const cells = faultsOf(source)
        .filter(({ refuseConnections, expected }) => !refuseConnections && expected !== "token")
        .map((fault) => ({ fault }));
      for (const group of inGroups(cells)) await Promise.all(group.map(({ fault }) => retry(fault)));
    },
  );

  testWith(test, ...neededBySource(source.name))(
    `${source.name}: 429 is retried seven times, other retryable statuses three times`,
    async (t) => {
      t.timeout(TEST_TIMEOUT_MS);
      const [keys, caller] = await Promise.all([certificates(t), startCaller(t)]);
      await Promise.all(
        faultsOf(source)
          // 410 at IMDS takes more than a minute: the Rust tests cover it in paused time.
          .filter(({ status, hasRetryAfter }) => status !== undefined && status !== 410 && !hasRetryAfter)
          .map(async (fault) => {
            const server = await startServer(t, source, keys, "");
            await server.setFault(fault);
            const env = source.env({ origin: server.origin, ...keys });
            const isThrottled = fault.status === 429;
            const attempts = isThrottled ? 8 : 4;
            // Seven delays of up to 8 s would take half a minute.
            const system = isThrottled
              ? { ...LONG_TIMEOUTS, retryOptions: { maxRetryDelayInMs: 200 } }
              : LONG_TIMEOUTS;
            const { error } = await caller.acquire(env, RESOURCE, system);
            t.deepEqual(
              [error.attempts, server.requests],
              [attempts, attempts],
              `${source.name}, ${fault.name}`,
            );
          }),
      );
    },
  );
}

testWith(test, "extra trust roots")("no source except workload identity uses a proxy", async (t) => {
  t.timeout(TEST_TIMEOUT_MS);
  const [keys, proxy] = await Promise.all([certificates(t), startUnusedServer(t)]);
  const variables = Object.fromEntries(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"].map((name) => [
      name,
      proxy.origin,
    ]),
  );
  const caller = await startCaller(t, { ...variables, NO_PROXY: "", no_proxy: "" });
  for (const source of SOURCES) {
    const server = await startServer(t, source, keys, "");
    const env = { ...variables, ...source.env({ origin: server.origin, ...keys }) };
    const before = proxy.connections;
    const actual = await caller.acquire(env, RESOURCE);
    if (source.name === "workload identity") {
      t.true(proxy.connections > before);
      t.is(actual.error?.errorCode, "managed_identity_unreachable_network");
    } else {
      t.deepEqual(actual, { fromCache: false, isExpected: true }, source.name);
      t.is(proxy.connections, before, source.name);
    }
  }
});

test("docs/faults.md matches the table", (t) => {
  t.is(readFileSync(path, "utf8"), document());
});
