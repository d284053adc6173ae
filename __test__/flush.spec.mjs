// ManagedIdentityApplication.flush: the end of a script loses no event of a background refresh and no write to a cache. The
// Rust tests cover its time limits in paused time. The first tests are serial, because a flush waits for all work of the
// process.

import { createRequire } from "node:module";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess, startWorker } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");

/** The default time limit may be too short on a busy machine. */
const PATIENT = { timeout: 60_000 };

/**
 * A script that starts a background refresh, whose request the endpoint holds, and that ends, after a flush if one is
 * given. Reports what was delivered.
 */
async function refreshAndEnd({ argument, native, require, report }) {
  const delivered = [];
  require("node:diagnostics_channel").subscribe("managed-identity-native:refresh", ({ errorCode }) => {
    delivered.push(`event ${errorCode ?? "ok"}`);
  });
  const loggerCallback = (_, line) => {
    if (/acquired a token|background refresh/.test(line)) delivered.push("line");
  };
  const onBackgroundTokenRefresh = ({ successful }) => delivered.push(`callback ${successful}`);
  const system = { loggerOptions: { loggerCallback }, onBackgroundTokenRefresh };
  const application = new native.ManagedIdentityApplication({ system });
  await application.acquireToken(argument.resource);
  const { now } = Date;
  Date.now = () => now() + 13 * 3_600_000;
  delivered.length = 0;
  const { fromCache } = await application.acquireToken(argument.resource);
  report({ fromCache });
  const { flush } = argument;
  const complete = flush && (await native.ManagedIdentityApplication.flush(flush.options));
  report({ complete, delivered });
}

/** An endpoint that answers its first request and holds the next ones. `release` lets it answer. */
async function startHoldingSecond(t) {
  let release;
  const endpoint = await startEndpoint(t);
  const held = endpoint.waitForRequests(1).then(() => {
    release = endpoint.hold();
  });
  return { endpoint, release: () => held.then(() => release()) };
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

for (const [status, outcome, callback] of [
  [200, "event ok", "callback true"],
  [400, "event managed_identity_failed_response", "callback false"],
]) {
  test(`a script that flushes gets the event, the line and the callback of a refresh: ${status}`, async (t) => {
    const { endpoint, release } = await startHoldingSecond(t);
    endpoint.next([{}, status === 200 ? {} : { status }]);
    const argument = { resource: RESOURCE, flush: { options: PATIENT } };
    const { next, ended } = startProcess(t, refreshAndEnd, { argument, env: endpoint.env });
    t.deepEqual(await next(), { fromCache: true });
    await endpoint.waitForRequests(2);
    await release();
    t.deepEqual(await next(), { complete: true, delivered: [callback, outcome, "line"] });
    t.is((await ended).code, 0);
  });
}

test("a script that does not flush ends without them", async (t) => {
  const { endpoint } = await startHoldingSecond(t);
  const argument = { resource: RESOURCE };
  const reports = await runProcess(t, refreshAndEnd, { argument, env: endpoint.env });
  t.deepEqual(reports[1].delivered, []);
});

test("a flush ends at its timeout, and does not keep the process alive any longer", async (t) => {
  const { endpoint } = await startHoldingSecond(t);
  const argument = { resource: RESOURCE, flush: { options: { timeout: 100 } } };
  const reports = await runProcess(t, refreshAndEnd, { argument, env: endpoint.env });
  t.deepEqual(reports, [{ fromCache: true }, { complete: false, delivered: [] }]);
});

test.serial("worker threads: each flush delivers the events of its own thread", async (t) => {
  const { endpoint, release } = await startHoldingSecond(t);
  const argument = { resource: "https://worker.example", flush: { options: PATIENT } };
  const { next } = startWorker(t, refreshAndEnd, { argument, env: endpoint.env });
  t.deepEqual(await next(), { fromCache: true });
  await endpoint.waitForRequests(2);
  // This thread's flush waits for the worker's refresh, too.
  let isFlushed = false;
  const flushed = ManagedIdentityApplication.flush(PATIENT).then((complete) => {
    isFlushed = true;
    return complete;
  });
  await ManagedIdentityApplication.flush({ timeout: 1 });
  t.false(isFlushed);
  await release();
  t.true(await flushed);
  t.deepEqual(await next(), { complete: true, delivered: ["callback true", "event ok", "line"] });
});

test.serial("a worker that is terminated while it flushes does not disturb others", async (t) => {
  const { endpoint, release } = await startHoldingSecond(t);
  const argument = { resource: "https://terminated.example", flush: { options: PATIENT } };
  const { next, terminate } = startWorker(t, refreshAndEnd, { argument, env: endpoint.env });
  await next();
  await endpoint.waitForRequests(2);
  await terminate();
  await release();
  t.true(await ManagedIdentityApplication.flush(PATIENT));
});

test.serial("a flush waits for a slow write of a cache plug-in", async (t) => {
  const endpoint = await startEndpoint(t);
  const [started, finished] = [deferred(), deferred()];
  let text = "";
  const cachePlugin = {
    async beforeCacheAccess() {},
    async afterCacheAccess({ cacheHasChanged, tokenCache }) {
      if (!cacheHasChanged) return;
      started.resolve();
      await finished.promise;
      text = tokenCache.serialize();
    },
  };
  const application = new ManagedIdentityApplication({ cache: { cachePlugin } });
  await acquire(endpoint, "https://persisted.example", application);
  await started.promise;
  t.is(text, "", "the token is returned before it is written");
  const flushed = ManagedIdentityApplication.flush(PATIENT);
  t.false(await ManagedIdentityApplication.flush({ timeout: 1 }));
  finished.resolve();
  t.true(await flushed);
  t.regex(text, /managed-identity-native/);
});

testWith(test, "/proc")("without work under way, a flush starts no thread and sends nothing", async (t) => {
  const endpoint = await startEndpoint(t);
  const program = async ({ native, require, report }) => {
    const threads = () => require("node:fs").readdirSync("/proc/self/task").length;
    const before = threads();
    const results = [];
    for (const options of [undefined, null, {}, { timeout: null }, { timeout: 1 }]) {
      results.push(await native.ManagedIdentityApplication.flush(options));
    }
    results.push(...(await Promise.all([1, 2].map(() => native.ManagedIdentityApplication.flush()))));
    report({ results, started: threads() - before });
  };
  const [{ results, started }] = await runProcess(t, program, { env: endpoint.env });
  t.deepEqual(results, Array(7).fill(true));
  t.deepEqual([started, endpoint.requests.length], [0, 0]);
});

test("invalid options are rejected, not thrown", async (t) => {
  for (const [options, message] of [
    [{ timeout: 0 }, /timeout is 0/],
    [{ timeout: Number.NaN }, /timeout is NaN/],
    [{ timeout: 600_001 }, /timeout is 600001/],
    [{ timeout: "1000" }, /timeout must be a number of milliseconds, but is a string/],
    [1_000, /options of flush must be an object, but are a number/],
    ["1000", /options of flush must be an object, but are a string/],
  ]) {
    const flushed = ManagedIdentityApplication.flush(options);
    await t.throwsAsync(flushed, {
      instanceOf: ManagedIdentityError,
      code: "invalid_configuration",
      message,
    });
  }
});
