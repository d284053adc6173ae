// The package and its process: nothing keeps the process alive, exiting with pending calls is clean, and a cached call
// stays on its thread.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";

for (const source of ["app-service", "imds", "service-fabric", "workload-identity"]) {
  testWith(test, ...neededBySource(source))(
    `${source}: the process exits by itself after a token, although the connection is kept alive`,
    async (t) => {
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
    },
  );
}

test("the process exits by itself after an error", async (t) => {
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

test("a pending call keeps the process alive until it has its token", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const program = startProcess(
    t,
    ({ native, argument, report }) => {
      new native.ManagedIdentityApplication()
        .acquireToken(argument)
        .then(({ fromCache }) => report(fromCache));
      report("called");
    },
    { argument: RESOURCE, env: endpoint.env },
  );
  t.is(await program.next(), "called");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual((await program.ended).reports, ["called", false]);
});

test("a call that timed out does not keep the process alive although the endpoint never responds", async (t) => {
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

test("the request of an aborted call does not keep the process alive", async (t) => {
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

testWith(test, "signals")(
  "process.exit with pending calls exits cleanly (main thread and worker)",
  async (t) => {
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
        parentPort.postMessage("called");
      `;
        const workerData = { path: require.resolve("managed-identity-native"), resource: argument };
        const worker = new Worker(code, { eval: true, workerData });
        await once(worker, "message");
        const application = new native.ManagedIdentityApplication();
        for (let call = 0; call < 100; call += 1) application.acquireToken(`api://resource-${call % 10}`);
        report("called");
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
  },
);

test("process.exit when a response arrives exits cleanly, repeatedly", async (t) => {
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

test("a worker that ends by itself is not kept alive by a token it received", async (t) => {
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

testWith(test, "/proc")("the first request starts one thread, and further requests start none", async (t) => {
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

testWith(test, "/proc")("invalid input is rejected without starting a thread", async (t) => {
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

testWith(test, "/proc")(
  "a cached call runs no asynchronous native function and starts no thread",
  async (t) => {
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
        let cached = 0;
        for (let call = 0; call < 1000; call += 1) {
          if ((await application.acquireToken(argument)).fromCache) cached += 1;
        }
        const memoized = { ...calls };
        // Another application has no memoized token: its first call reads the native cache synchronously.
        const other = new native.ManagedIdentityApplication();
        for (let call = 0; call < 1000; call += 1) {
          if ((await other.acquireToken(argument)).fromCache) cached += 1;
        }
        hook.disable();
        report({
          cold,
          memoized,
          other: { ...calls },
          cached,
          resources: [...resources],
          threads: threads() - before,
        });
      },
      { argument: RESOURCE, env: endpoint.env },
    );
    t.deepEqual(counts, {
      cold: { acquire: 1, setRef: 2 },
      memoized: { acquire: 1, setRef: 2 },
      other: { acquire: 2, setRef: 2 },
      cached: 2000,
      resources: ["PROMISE"],
      threads: 0,
    });
    t.is(endpoint.requests.length, 1);
  },
);

test("a cached call resolves within the same turn of the event loop", async (t) => {
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

test("a token arrives although the event loop is blocked", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const directory = mkdtempSync(join(tmpdir(), "process-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const program = startProcess(
    t,
    async ({ native, require, argument: { resource, flagFile }, report }) => {
      const { existsSync } = require("node:fs");
      const call = new native.ManagedIdentityApplication().acquireToken(resource);
      report("blocked");
      while (!existsSync(flagFile));
      report((await call).fromCache);
    },
    { argument: { resource: RESOURCE, flagFile: join(directory, "answered") }, env: endpoint.env },
  );
  t.is(await program.next(), "blocked");
  await endpoint.waitForRequests(1);
  release();
  // A later request to the endpoint is answered after the held one.
  await acquire(endpoint, "api://other");
  writeFileSync(join(directory, "answered"), "");
  t.is(await program.next(), false);
  t.is((await program.ended).code, 0);
});

test("stack overflow during a call rejects only that call", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const program = startProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const calls = [];
      const recurse = () => {
        try {
          recurse();
        } finally {
          try {
            calls.push(application.acquireToken(argument).catch((error) => error));
          } catch {} // Too deep to make a call at all.
        }
      };
      try {
        recurse();
      } catch {}
      report("called");
      const results = await Promise.all(calls);
      const failed = results.filter((result) => result instanceof Error);
      // Node.js 24 reports a regular expression that finds no stack left as a SyntaxError.
      const isOverflow = (error) => error instanceof RangeError || /: Stack overflow$/.test(error.message);
      report({
        all: results.every((result) => result.accessToken || isOverflow(result)),
        any: failed.length > 0,
      });
    },
    { argument: RESOURCE, env: endpoint.env, flags: ["--stack-size=200"] },
  );
  t.is(await program.next(), "called");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await program.next(), { all: true, any: true });
  t.is((await program.ended).code, 0);
});

test("handled rejections cause no unhandledRejection event", async (t) => {
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
