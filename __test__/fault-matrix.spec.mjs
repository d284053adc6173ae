// The fault matrix: every fault of fault-matrix/table.mjs, over real sockets, with every source and with tokens of every
// age in the cache. The ages need a clock that moves: libfaketime, in a process of its own.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import test from "ava";
import { document, path } from "./fault-matrix/document.mjs";
import { startServer } from "./fault-matrix/server.mjs";
import { certificates, SOURCES } from "./fault-matrix/sources.mjs";
import { AGES, faultsOf, isRetried, outcome, requestsFor } from "./fault-matrix/table.mjs";
import { RESOURCE } from "./support/endpoint.mjs";
import { hasFaketime, logMissingFaketime, startWithFaketime } from "./support/faketime.mjs";

const PROGRAM = fileURLToPath(new URL("fault-matrix/caller.mjs", import.meta.url));
/** Long enough for a machine that is busy; what is silent takes as long. */
const PATIENT = { connectTimeout: 8_000, requestTimeout: 8_000 };
const NO_RETRIES = { disableInternalRetries: true, ...PATIENT };

/** A process that asks, under a clock that can be moved if that can be had. */
async function startCaller(t, env) {
  const send = await startWithFaketime(t, PROGRAM, { env });
  return {
    ask: (env, request, system = NO_RETRIES) => send({ ask: { env, request, system } }),
    pass: (seconds) => send({ pass: seconds }),
  };
}

/** Somewhere that nobody should go to. */
async function startElsewhere(t) {
  const server = net.createServer((socket) => {
    elsewhere.connections += 1;
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const elsewhere = { connections: 0, origin: `http://127.0.0.1:${server.address().port}` };
  return elsewhere;
}

/** Compares what a caller got with what the table says. */
function expect(t, got, ends, cell) {
  if (typeof ends === "string") {
    t.deepEqual(got, { fromCache: ends === "the cached token", isExpected: true }, cell);
    return;
  }
  const { name, errorCode, statusCode, retryable, message } = got.error ?? {};
  t.deepEqual(
    { name, errorCode, statusCode, retryable },
    {
      name: "ManagedIdentityError",
      errorCode: ends.code,
      statusCode: ends.status,
      retryable: ends.retryable,
    },
    `${cell}: ${message ?? JSON.stringify(got)}`,
  );
}

for (const source of SOURCES) {
  for (const age of AGES) {
    test(`${source.name}: every fault, ${age.name}`, async (t) => {
      t.timeout(120_000);
      if (age.after !== undefined && !hasFaketime) return logMissingFaketime(t);
      const [keys, caller, elsewhere] = await Promise.all([
        certificates(t),
        startCaller(t),
        startElsewhere(t),
      ]);
      const cells = await Promise.all(
        faultsOf(source).map(async (fault) => {
          const address = fault.refuse ? keys.lonely : undefined;
          const server = await startServer(t, source, keys, elsewhere.origin, address);
          const env = source.env({ origin: server.origin, ...keys });
          if (age.after !== undefined) {
            const granted = await caller.ask(env, RESOURCE);
            t.deepEqual(granted, { fromCache: false, isExpected: true }, JSON.stringify(granted));
          }
          await server.commit(fault);
          return { fault, server, env };
        }),
      );
      if (age.after !== undefined) await caller.pass(age.after); // With no request under way.
      await Promise.all(
        cells.map(async ({ fault, server, env }) => {
          const cell = `${source.name}, ${fault.name}, ${age.name}`;
          const met = fault.refuse ? undefined : once(server, "met");
          expect(t, await caller.ask(env, RESOURCE), outcome(source, fault, age), cell);
          await met; // Also when the caller did not wait for it.
          // Who is served at once is served although the endpoint has not answered yet.
          if (age.serves === "at once" && fault.ends.wait) t.true(server.isConnected(), cell);
          t.is(server.requests, requestsFor(fault), cell);
        }),
      );
      t.is(elsewhere.connections, 0, "a redirect was followed");
    });
  }

  test(`${source.name}: what is tried again heals, what is not is final`, async (t) => {
    t.timeout(120_000);
    const [keys, caller, elsewhere] = await Promise.all([certificates(t), startCaller(t), startElsewhere(t)]);
    await Promise.all(
      faultsOf(source)
        .filter(({ refuse, ends }) => !refuse && ends !== "token")
        .map(async (fault) => {
          const server = await startServer(t, source, keys, elsewhere.origin);
          const env = source.env({ origin: server.origin, ...keys });
          await server.commit(fault, 1);
          const retried = isRetried(source, fault);
          const got = await caller.ask(env, RESOURCE, PATIENT);
          const cell = `${source.name}, ${fault.name}`;
          if (retried)
            t.deepEqual(got, { fromCache: false, isExpected: true }, `${cell}: ${got.error?.message}`);
          else expect(t, got, outcome(source, fault, AGES[0]), cell);
          t.is(server.requests, requestsFor(fault) + (retried ? 1 : 0), cell);
        }),
    );
  });

  test(`${source.name}: a status is tried again three times, 429 seven times, and no more`, async (t) => {
    t.timeout(120_000);
    const [keys, caller] = await Promise.all([certificates(t), startCaller(t)]);
    await Promise.all(
      faultsOf(source)
        // 410 at IMDS takes more than a minute: the Rust tests have it, in paused time.
        .filter(({ status, pauses }) => status !== undefined && status !== 410 && !pauses)
        .map(async (fault) => {
          const server = await startServer(t, source, keys, "");
          await server.commit(fault);
          const env = source.env({ origin: server.origin, ...keys });
          const isThrottled = fault.status === 429;
          const attempts = isThrottled ? 8 : 4;
          // Seven waits of up to 8 s would take half a minute.
          const system = isThrottled ? { ...PATIENT, retryOptions: { maxRetryDelayInMs: 200 } } : PATIENT;
          const { error } = await caller.ask(env, RESOURCE, system);
          t.deepEqual(
            [error.attempts, server.requests],
            [attempts, attempts],
            `${source.name}, ${fault.name}`,
          );
        }),
    );
  });
}

test("no proxy gets to see a request, but for workload identity", async (t) => {
  t.timeout(120_000);
  const [keys, proxy] = await Promise.all([certificates(t), startElsewhere(t)]);
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
    const got = await caller.ask(env, RESOURCE);
    if (source.name === "workload identity") {
      t.true(proxy.connections > before);
      t.is(got.error?.errorCode, "managed_identity_unreachable_network");
    } else {
      t.deepEqual(got, { fromCache: false, isExpected: true }, source.name);
      t.is(proxy.connections, before, source.name);
    }
  }
});

test("docs/faults.md is what the table says", (t) => {
  t.is(readFileSync(path, "utf8"), document());
});
