// Many concurrent calls, threads and processes, some of which end with pending calls. Each scenario runs in a child
// process with --unhandled-rejections=strict, which must exit with code 0 and print nothing to stderr.

import { createRequire } from "node:module";
import test from "ava";
import { runProcess, startProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const STRICT = ["--unhandled-rejections=strict"];
const here = createRequire(import.meta.url);

function run(t, endpoint, program, argument = null) {
  return runProcess(t, program, { argument, env: endpoint.env, flags: STRICT });
}

test("aborting 10,000 of 20,000 calls: the others get the token of one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const scenario = startProcess(
    t,
    async ({ native, report }) => {
      const application = new native.ManagedIdentityApplication();
      const controllers = [];
      const calls = Array.from({ length: 20_000 }, (_, index) => {
        if (index % 2 === 0) return application.acquireToken("https://a.example");
        const controller = new AbortController();
        controllers.push(controller);
        return application.acquireToken({ resource: "https://a.example", abortSignal: controller.signal });
      });
      const settled = Promise.allSettled(calls);
      report("called");
      for (const [index, controller] of controllers.entries()) controller.abort(`reason ${index}`);
      const outcomes = await settled;
      const aborted = outcomes.filter(({ status }) => status === "rejected");
      report({
        aborted: aborted.length,
        reasons: new Set(aborted.map(({ reason }) => reason)).size,
        tokens: new Set(outcomes.filter(({ value }) => value).map(({ value }) => value.accessToken)).size,
        fulfilled: outcomes.filter(({ value }) => value).length,
      });
    },
    { env: endpoint.env, flags: STRICT },
  );
  t.is(await scenario.next(), "called");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await scenario.next(), { aborted: 10_000, reasons: 10_000, tokens: 1, fulfilled: 10_000 });
  const { code, stderr } = await scenario.ended;
  t.deepEqual([code, stderr, endpoint.requests.length], [0, "", 1]);
});

test("5,000 calls with forceRefresh share one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const scenario = startProcess(
    t,
    async ({ native, report }) => {
      const application = new native.ManagedIdentityApplication();
      const request = { resource: "https://a.example", forceRefresh: true };
      const calls = Array.from({ length: 5_000 }, () => application.acquireToken(request));
      report("called");
      report(new Set((await Promise.all(calls)).map(({ accessToken }) => accessToken)).size);
    },
    { env: endpoint.env, flags: STRICT },
  );
  t.is(await scenario.next(), "called");
  release();
  t.is(await scenario.next(), 1);
  t.is((await scenario.ended).code, 0);
  t.is(endpoint.requests.length, 1);
});

test("a response that arrives after clearCache is returned to its waiters and not cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const scenario = startProcess(
    t,
    async ({ native, report }) => {
      const application = new native.ManagedIdentityApplication();
      const waiting = application.acquireToken("https://a.example");
      native.ManagedIdentityApplication.clearCache();
      report("cleared");
      const first = await waiting;
      const second = await application.acquireToken("https://a.example");
      report([first.accessToken === second.accessToken, second.fromCache]);
    },
    { env: endpoint.env, flags: STRICT },
  );
  t.is(await scenario.next(), "cleared");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await scenario.next(), [false, false]);
  t.is((await scenario.ended).code, 0);
  t.is(endpoint.requests.length, 2);
});

test("blocking the event loop while tokens arrive delays results but loses none", async (t) => {
  const endpoint = await startEndpoint(t);
  const [count] = await run(t, endpoint, async ({ native, report }) => {
    const application = new native.ManagedIdentityApplication();
    const calls = Array.from({ length: 50 }, (_, index) =>
      application.acquireToken(`https://${index}.example`),
    );
    // The network thread continues meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
    report((await Promise.all(calls)).filter(({ accessToken }) => accessToken).length);
  });
  t.is(count, 50);
  t.is(endpoint.requests.length, 50);
});

const ENDINGS = {
  "is terminated": "",
  "calls process.exit": "setImmediate(() => process.exit(3));",
  "throws an uncaught error": "setImmediate(() => { throw new Error('a worker that fails'); });",
};
for (const [name, ending] of Object.entries(ENDINGS)) {
  test(`the request of a worker thread that ${name} is continued for the other threads`, async (t) => {
    const endpoint = await startEndpoint(t);
    const release = endpoint.hold();
    const scenario = startProcess(
      t,
      async ({ native, report, argument }) => {
        const { Worker } = require("node:worker_threads");
        const { once } = require("node:events");
        const callingWorker = (ending) => `
          const { parentPort } = require("node:worker_threads");
          const native = require(${JSON.stringify(argument.path)});
          new native.ManagedIdentityApplication().acquireToken("https://a.example")
            .then(({ accessToken }) => parentPort.postMessage(accessToken));
          parentPort.postMessage("called");
          ${ending}`;
        // The worker that ends is the one that sends the request.
        const starter = new Worker(callingWorker(argument.ending), { eval: true });
        starter.on("error", () => {});
        const exited = new Promise((resolve) => starter.once("exit", resolve));
        await Promise.race([new Promise((resolve) => starter.once("message", resolve)), exited]);
        const others = [1, 2, 3].map(() => new Worker(callingWorker(""), { eval: true }));
        await Promise.all(others.map((other) => once(other, "message")));
        const waiting = others.map(async (other) => (await once(other, "message"))[0]);
        const own = new native.ManagedIdentityApplication().acquireToken("https://a.example");
        if (argument.ending === "") starter.terminate();
        await exited;
        report("exited");
        const tokens = [(await own).accessToken, ...(await Promise.all(waiting))];
        report([tokens.length, new Set(tokens).size]);
      },
      {
        argument: { path: here.resolve("managed-identity-native"), ending },
        env: endpoint.env,
        flags: STRICT,
      },
    );
    t.is(await scenario.next(), "exited");
    await endpoint.waitForRequests(1);
    release();
    t.deepEqual(await scenario.next(), [4, 1]);
    const { code, stderr } = await scenario.ended;
    t.deepEqual([code, stderr, endpoint.requests.length], [0, "", 1]);
  });
}

test("process.exit with pending calls exits with its code", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const scenario = startProcess(
    t,
    ({ native }) => {
      const application = new native.ManagedIdentityApplication();
      for (let index = 0; index < 40; index += 1) application.acquireToken(`https://${index}.example`);
      setImmediate(() => process.exit(7));
    },
    { env: endpoint.env, flags: STRICT },
  );
  const { code, signal, stderr } = await scenario.ended;
  t.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: "" });
});

test("each process of a cluster has its own cache and exits cleanly", async (t) => {
  const endpoint = await startEndpoint(t);
  const [codes] = await run(
    t,
    endpoint,
    async ({ report, argument }) => {
      const cluster = require("node:cluster");
      const { once } = require("node:events");
      const file = require("node:path").join(require("node:os").tmpdir(), `cluster-${process.pid}.cjs`);
      const program = `
        const native = require(${JSON.stringify(argument)});
        const application = new native.ManagedIdentityApplication();
        application.acquireToken("https://a.example")
          .then(() => application.acquireToken("https://a.example"))
          .then(({ fromCache }) => process.exit(fromCache ? 0 : 1));`;
      require("node:fs").writeFileSync(file, program);
      cluster.setupPrimary({ exec: file, execArgv: [], args: [] });
      const exits = [1, 2, 3].map(async () => (await once(cluster.fork(), "exit"))[0]);
      const codes = await Promise.all(exits);
      require("node:fs").rmSync(file);
      report(codes);
    },
    here.resolve("managed-identity-native"),
  );
  t.deepEqual(codes, [0, 0, 0]);
  t.is(endpoint.requests.length, 3);
});

test("a call in beforeExit gets its token before the process exits", async (t) => {
  const endpoint = await startEndpoint(t);
  const reports = await run(t, endpoint, ({ native, report }) => {
    const application = new native.ManagedIdentityApplication();
    process.once("beforeExit", async () =>
      report((await application.acquireToken("https://a.example")).fromCache),
    );
    process.on("exit", (code) => report(code));
  });
  t.deepEqual(reports, [false, 0]);
});
