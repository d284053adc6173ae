// The process around it: nothing keeps it alive, nothing dies of its end, a cached call stays on its thread.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess, startProcess } from "./support/program.mjs";

for (const source of ["app-service", "imds", "service-fabric", "workload-identity"]) {
  test(`${source}: the process ends by itself after a token, with the connection kept alive`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const reports = await runProcess(
      t,
      async ({ native, argument, report }) => {
        const { fromCache } = await new native.ManagedIdentityApplication().acquireToken(argument);
        report(fromCache);
      },
      { argument: RESOURCE, env: endpoint.env },
    );
    t.deepEqual(reports, [false]);
    t.is(endpoint.requests.length, 1);
    t.not(endpoint.requests[0].headers.connection, "close");
  });
}

test("the process ends by itself after an error", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      await new native.ManagedIdentityApplication()
        .acquireToken(argument)
        .catch(({ errorCode }) => report(errorCode));
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, ["managed_identity_failed_response"]);
});

test("a call under way keeps the process alive until it has its token", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const program = startProcess(
    t,
    ({ native, argument, report }) => {
      new native.ManagedIdentityApplication()
        .acquireToken(argument)
        .then(({ fromCache }) => report(fromCache));
      report("asked");
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.is(await program.next(), "asked");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual((await program.ended).reports, ["asked", false]);
});

test("a call that timed out does not keep the process alive, although the endpoint never answers", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      await application
        .acquireToken({ resource: argument, timeout: 50 })
        .catch(({ errorCode }) => report(errorCode));
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, ["network_unavailable"]);
});

test("an exchange that its only caller gave up does not keep the process alive", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{}, { delay: 600_000 }]);
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication({
        system: { requestTimeout: 600_000, totalTimeout: 600_000 },
      });
      await application.acquireToken({ resource: argument, timeout: 60_000 });
      const controller = new AbortController();
      const call = application.acquireToken({
        resource: argument,
        forceRefresh: true,
        abortSignal: controller.signal,
      });
      controller.abort();
      await call.catch(({ name }) => report(name));
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, ["AbortError"]);
});

test("process.exit in mid-flight is clean, with many callers, also from a worker's point of view", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const program = startProcess(
    t,
    async ({ native, require, argument, report }) => {
      const { Worker } = require("node:worker_threads");
      const { once } = require("node:events");
      const code = `
        const { parentPort, workerData } = require("node:worker_threads");
        const { ManagedIdentityApplication } = require(workerData.path);
        new ManagedIdentityApplication().acquireToken(workerData.resource);
        parentPort.postMessage("asked");
      `;
      const workerData = { path: require.resolve("managed-identity-native"), resource: argument };
      const worker = new Worker(code, { eval: true, workerData });
      await once(worker, "message");
      const application = new native.ManagedIdentityApplication();
      for (let call = 0; call < 100; call += 1) application.acquireToken(`api://resource-${call % 10}`);
      report("asked");
      setInterval(() => undefined, 1000);
      process.once("SIGUSR2", () => process.exit(7));
      report("ready");
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  await program.next();
  await program.next();
  await endpoint.waitForRequests(11);
  program.child.kill("SIGUSR2");
  const { code, signal, stderr } = await program.ended;
  t.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: "" });
});

test("process.exit at the very moment of the answer is clean, again and again", async (t) => {
  const endpoint = await startEndpoint(t);
  for (let round = 0; round < 5; round += 1) {
    const program = startProcess(
      t,
      ({ native, argument }) => {
        const application = new native.ManagedIdentityApplication();
        for (let call = 0; call < 20; call += 1) {
          application.acquireToken(`${argument}/${call}`).then(() => process.exit(3));
        }
      },
      { argument: RESOURCE, env: endpoint.env },
    );
    const { code, signal, stderr } = await program.ended;
    t.deepEqual({ code, signal, stderr }, { code: 3, signal: null, stderr: "" });
  }
});

test("a worker that ends by itself is not held by a token it got", async (t) => {
  const endpoint = await startEndpoint(t);
  const reports = await runProcess(
    t,
    async ({ require, argument, report }) => {
      const { Worker } = require("node:worker_threads");
      const { once } = require("node:events");
      const code = `
        const { workerData } = require("node:worker_threads");
        const { ManagedIdentityApplication } = require(workerData.path);
        new ManagedIdentityApplication().acquireToken(workerData.resource);
      `;
      const workerData = { path: require.resolve("managed-identity-native"), resource: argument };
      for (const _ of [1, 2, 3]) {
        const worker = new Worker(code, { eval: true, workerData });
        report((await once(worker, "exit"))[0]);
      }
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, [0, 0, 0]);
  t.is(endpoint.requests.length, 1);
});

test("one thread is started, by the first request, and none by more of them", async (t) => {
  const endpoint = await startEndpoint(t);
  const [counts] = await runProcess(
    t,
    async ({ native, require, report }) => {
      const { readdirSync } = require("node:fs");
      const threads = () => readdirSync("/proc/self/task").length;
      const application = new native.ManagedIdentityApplication();
      const before = threads();
      await application.acquireToken("api://first");
      const first = threads();
      const calls = Array.from({ length: 100 }, (_, index) => application.acquireToken(`api://${index}`));
      await Promise.all(calls);
      report({ before, first, hundred: threads() });
    },
    { env: endpoint.env },
  );
  t.is(counts.first, counts.before + 1);
  t.is(counts.hundred, counts.first);
});

test("bad input is refused without a thread", async (t) => {
  const [counts] = await runProcess(t, async ({ native, require, report }) => {
    const { readdirSync } = require("node:fs");
    const threads = () => readdirSync("/proc/self/task").length;
    const application = new native.ManagedIdentityApplication();
    const before = threads();
    const codes = [];
    process.env.IDENTITY_ENDPOINT = "nonsense";
    process.env.IDENTITY_HEADER = "x";
    for (const request of ["nonsense", { resource: "https://a", timeout: 0 }, "https://a"]) {
      await application.acquireToken(request).catch(({ errorCode }) => codes.push(errorCode));
    }
    report({ before, after: threads(), codes });
  });
  t.is(counts.after, counts.before);
  t.deepEqual(counts.codes, ["invalid_resource", "invalid_configuration", "identity_endpoint_url_malformed"]);
});

test("a cached call runs no asynchronous native function and starts no thread", async (t) => {
  const endpoint = await startEndpoint(t);
  const [counts] = await runProcess(
    t,
    async ({ native, require, argument, report }) => {
      const { readdirSync } = require("node:fs");
      const { createHook } = require("node:async_hooks");
      const binding = require("./binding.cjs");
      const threads = () => readdirSync("/proc/self/task").length;
      const calls = { acquire: 0, setRef: 0 };
      for (const [Class, method] of [
        [binding.ManagedIdentityApplication, "acquire"],
        [binding.CompletionChannel, "setRef"],
      ]) {
        const original = Class.prototype[method];
        Class.prototype[method] = function (...parameters) {
          calls[method] += 1;
          return original.apply(this, parameters);
        };
      }
      const application = new native.ManagedIdentityApplication();
      await application.acquireToken(argument);
      const cold = { ...calls };
      const before = threads();
      const resources = new Set();
      const hook = createHook({ init: (_, type) => resources.add(type) }).enable();
      let fresh = 0;
      for (let call = 0; call < 1000; call += 1) {
        if ((await application.acquireToken(argument)).fromCache) fresh += 1;
      }
      const remembered = { ...calls };
      // Another application remembers nothing yet: it looks into the native cache, once and at once.
      const other = new native.ManagedIdentityApplication();
      for (let call = 0; call < 1000; call += 1) {
        if ((await other.acquireToken(argument)).fromCache) fresh += 1;
      }
      hook.disable();
      report({
        cold,
        remembered,
        other: { ...calls },
        fresh,
        resources: [...resources],
        threads: threads() - before,
      });
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(counts, {
    cold: { acquire: 1, setRef: 2 },
    remembered: { acquire: 1, setRef: 2 },
    other: { acquire: 2, setRef: 2 },
    fresh: 2000,
    resources: ["PROMISE"],
    threads: 0,
  });
  t.is(endpoint.requests.length, 1);
});

test("a cached call is answered with the endpoint gone, and with the event loop's own turn", async (t) => {
  const endpoint = await startEndpoint(t);
  const program = startProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      await application.acquireToken(argument);
      const order = [];
      setImmediate(() => order.push("immediate"));
      await application.acquireToken(argument);
      order.push("token");
      report(order);
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(await program.next(), ["token"]);
  t.is((await program.ended).code, 0);
});

test("a token arrives although the event loop is blocked meanwhile", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const folder = mkdtempSync(join(tmpdir(), "process-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const program = startProcess(
    t,
    async ({ native, require, argument: { resource, sign }, report }) => {
      const { existsSync } = require("node:fs");
      const call = new native.ManagedIdentityApplication().acquireToken(resource);
      report("blocked");
      while (!existsSync(sign));
      report((await call).fromCache);
    },
    { argument: { resource: RESOURCE, sign: join(folder, "answered") }, env: endpoint.env },
  );
  t.is(await program.next(), "blocked");
  await endpoint.waitForRequests(1);
  release();
  // An exchange of our own comes after the one that was held.
  await acquire(endpoint, "api://other");
  writeFileSync(join(folder, "answered"), "");
  t.is(await program.next(), false);
  t.is((await program.ended).code, 0);
});

test("calls at the end of the stack have a token or a RangeError, and nobody else dies of them", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const program = startProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const calls = [];
      const ask = () => {
        try {
          ask();
        } finally {
          try {
            calls.push(application.acquireToken(argument).catch((error) => error));
          } catch {} // What is too deep for a call at all.
        }
      };
      try {
        ask();
      } catch {}
      report("asked");
      const ends = await Promise.all(calls);
      const failed = ends.filter((end) => end instanceof Error);
      report({
        all: ends.every((end) => end.accessToken || end instanceof RangeError),
        any: failed.length > 0,
      });
    },
    { argument: RESOURCE, env: endpoint.env, flags: ["--stack-size=200"] },
  );
  t.is(await program.next(), "asked");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await program.next(), { all: true, any: true });
  t.is((await program.ended).code, 0);
});

test("no rejection goes unhandled that the caller handles", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      process.on("unhandledRejection", () => report("unhandled"));
      process.on("warning", ({ name }) => report(name));
      const application = new native.ManagedIdentityApplication();
      const controllers = Array.from({ length: 20 }, () => new AbortController());
      const requests = [
        argument,
        "nonsense",
        { resource: argument, timeout: 1 },
        { resource: argument, forceRefresh: true },
        { resource: argument, abortSignal: AbortSignal.abort() },
        ...controllers.map(({ signal }) => ({ resource: argument, abortSignal: signal })),
      ];
      const calls = requests.map((request) => application.acquireToken(request));
      for (const controller of controllers) controller.abort();
      const outcomes = await Promise.allSettled(calls);
      report(outcomes.every(({ status }) => status === "rejected"));
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.deepEqual(reports, [true]);
});
