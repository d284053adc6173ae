// Many callers, threads and processes at once, and processes that end in the middle of it. Each storm has a process of
// its own, with --unhandled-rejections=strict: it must end by itself, with exit code 0 and nothing on stderr.

import { createRequire } from "node:module";
import test from "ava";
import { startEndpoint } from "./support/endpoint.mjs";
import { runProcess, startProcess } from "./support/program.mjs";

const STRICT = ["--unhandled-rejections=strict"];
const here = createRequire(import.meta.url);

function run(t, endpoint, program, argument = null) {
  return runProcess(t, program, { argument, env: endpoint.env, flags: STRICT });
}

test("10,000 of 20,000 callers abort: the others get the token of one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const storm = startProcess(
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
      report("asked");
      for (const [index, controller] of controllers.entries()) controller.abort(`reason ${index}`);
      const outcomes = await settled;
      const aborted = outcomes.filter(({ status }) => status === "rejected");
      report({
        aborted: aborted.length,
        reasons: new Set(aborted.map(({ reason }) => reason)).size,
        tokens: new Set(outcomes.filter(({ value }) => value).map(({ value }) => value.accessToken)).size,
        served: outcomes.filter(({ value }) => value).length,
      });
    },
    { env: endpoint.env, flags: STRICT },
  );
  t.is(await storm.next(), "asked");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await storm.next(), { aborted: 10_000, reasons: 10_000, tokens: 1, served: 10_000 });
  const { code, stderr } = await storm.ended;
  t.deepEqual([code, stderr, endpoint.requests.length], [0, "", 1]);
});

test("5,000 callers who force a refresh share one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const storm = startProcess(
    t,
    async ({ native, report }) => {
      const application = new native.ManagedIdentityApplication();
      const request = { resource: "https://a.example", forceRefresh: true };
      const calls = Array.from({ length: 5_000 }, () => application.acquireToken(request));
      report("asked");
      report(new Set((await Promise.all(calls)).map(({ accessToken }) => accessToken)).size);
    },
    { env: endpoint.env, flags: STRICT },
  );
  t.is(await storm.next(), "asked");
  release();
  t.is(await storm.next(), 1);
  t.is((await storm.ended).code, 0);
  t.is(endpoint.requests.length, 1);
});

test("what a flight brings after clearCache serves those who wait, and is not cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const storm = startProcess(
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
  t.is(await storm.next(), "cleared");
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await storm.next(), [false, false]);
  t.is((await storm.ended).code, 0);
  t.is(endpoint.requests.length, 2);
});

test("an event loop that is blocked while tokens arrive delays them, and loses none", async (t) => {
  const endpoint = await startEndpoint(t);
  const [served] = await run(t, endpoint, async ({ native, report }) => {
    const application = new native.ManagedIdentityApplication();
    const calls = Array.from({ length: 50 }, (_, index) =>
      application.acquireToken(`https://${index}.example`),
    );
    // The network thread goes on meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
    report((await Promise.all(calls)).filter(({ accessToken }) => accessToken).length);
  });
  t.is(served, 50);
  t.is(endpoint.requests.length, 50);
});

const ends = {
  "is terminated": "",
  "calls process.exit": "setImmediate(() => process.exit(3));",
  "throws what nobody catches": "setImmediate(() => { throw new Error('a worker that fails'); });",
};
for (const [name, end] of Object.entries(ends)) {
  test(`a worker thread that ${name} in mid-flight leaves the flight to the others`, async (t) => {
    const endpoint = await startEndpoint(t);
    const release = endpoint.hold();
    const storm = startProcess(
      t,
      async ({ native, report, argument }) => {
        const { Worker } = require("node:worker_threads");
        const { once } = require("node:events");
        const ask = (end) => `
          const { parentPort } = require("node:worker_threads");
          const native = require(${JSON.stringify(argument.path)});
          new native.ManagedIdentityApplication().acquireToken("https://a.example")
            .then(({ accessToken }) => parentPort.postMessage(accessToken));
          parentPort.postMessage("asked");
          ${end}`;
        // The one that ends is the one that starts the flight.
        const starter = new Worker(ask(argument.end), { eval: true });
        starter.on("error", () => {});
        const ended = new Promise((resolve) => starter.once("exit", resolve));
        await Promise.race([new Promise((resolve) => starter.once("message", resolve)), ended]);
        const others = [1, 2, 3].map(() => new Worker(ask(""), { eval: true }));
        await Promise.all(others.map((other) => once(other, "message")));
        const waiting = others.map(async (other) => (await once(other, "message"))[0]);
        const own = new native.ManagedIdentityApplication().acquireToken("https://a.example");
        if (argument.end === "") starter.terminate();
        await ended;
        report("ended");
        const tokens = [(await own).accessToken, ...(await Promise.all(waiting))];
        report([tokens.length, new Set(tokens).size]);
      },
      { argument: { path: here.resolve("managed-identity-native"), end }, env: endpoint.env, flags: STRICT },
    );
    t.is(await storm.next(), "ended");
    await endpoint.waitForRequests(1);
    release();
    t.deepEqual(await storm.next(), [4, 1]);
    const { code, stderr } = await storm.ended;
    t.deepEqual([code, stderr, endpoint.requests.length], [0, "", 1]);
  });
}

test("process.exit in mid-flight exits with that code", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const storm = startProcess(
    t,
    ({ native }) => {
      const application = new native.ManagedIdentityApplication();
      for (let index = 0; index < 40; index += 1) application.acquireToken(`https://${index}.example`);
      setImmediate(() => process.exit(7));
    },
    { env: endpoint.env, flags: STRICT },
  );
  const { code, signal, stderr } = await storm.ended;
  t.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: "" });
});

test("the processes of a cluster have a cache each, and end cleanly", async (t) => {
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

test("a call in beforeExit gets its token, and then the process ends", async (t) => {
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
