// What of a token JavaScript can still reach after clearCache(), after it was replaced and after it expired: nothing.
// Each test looks into a snapshot of the heap of a process of its own, which gets its tokens from an endpoint here.

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import test from "ava";
import { canMoveClocks, leaveToRust, startClocked } from "./support/clocks.mjs";
import { runProcess } from "./support/program.mjs";

const EVALUATOR = fileURLToPath(new URL("time/evaluator.mjs", import.meta.url));

/** Answers each request with a token of its own, of so many characters; `tokens` are the hashes of all so far. */
async function startCounting(t, { length = 200, expiresIn = () => 86_400 } = {}) {
  const tokens = [];
  const server = createServer(({ url }, response) => {
    const token = randomBytes(length / 2).toString("hex");
    tokens.push(token);
    response.end(
      JSON.stringify({ access_token: token, expires_in: `${expiresIn(url)}`, token_type: "Bearer" }),
    );
  }).listen(0, "127.0.0.1");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  const env = {
    IDENTITY_ENDPOINT: `http://127.0.0.1:${server.address().port}/token`,
    IDENTITY_HEADER: randomBytes(16).toString("hex"),
  };
  return { tokens, env };
}

/** What programs here have in common: asks for tokens and forgets them, and counts those in a snapshot by their hashes. */
const SUPPORT = `
  const resources = (count, from = 0) => Array.from({ length: count }, (_, nth) => "https://" + (from + nth) + ".example");
  const acquire = async (application, wanted, method = "acquireToken", options = undefined) => {
    for (let at = 0; at < wanted.length; at += 32) {
      await Promise.all(wanted.slice(at, at + 32).map(async (resource) => void (await application[method](
        method === "getToken" ? resource + "/.default" : resource, options))));
    }
  };
  const settled = async () => {
    for (let round = 0; round < 5; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      global.gc();
    }
  };
  /** Hexadecimal strings of 200 characters in a snapshot, which the test compares with its tokens by their hashes. */
  const reachable = async (snapshot = require("node:v8").getHeapSnapshot()) => {
    await settled();
    const chunks = [];
    for await (const chunk of snapshot) chunks.push(chunk);
    const { createHash } = require("node:crypto");
    const found = Buffer.concat(chunks).toString("latin1").match(/(?<![0-9a-f])[0-9a-f]{200}(?![0-9a-f])/g) ?? [];
    return [...new Set(found)].map((token) => createHash("sha256").update(token).digest("hex"));
  };
`;

/** Runs a program; gives its reports. */
function run(t, program, { env, ...argument }) {
  const whole = `async (scope) => {
    const { require } = scope;
    ${SUPPORT}
    await (${program})({ ...scope, native: scope.native, resources, acquire, settled, reachable });
  }`;
  return runProcess(t, whole, { env, argument, flags: ["--expose-gc"] });
}

/** How many of an endpoint's tokens are among the hashes. */
function count({ tokens }, hashes) {
  const known = new Set(tokens.map((token) => createHash("sha256").update(token).digest("hex")));
  return hashes.filter((hash) => known.has(hash)).length;
}

test("clearCache: none of a hundred tokens is reachable, wherever it was remembered", async (t) => {
  const endpoint = await startCounting(t);
  const [before, after] = await run(
    t,
    async ({ native, resources, acquire, reachable, report }) => {
      const one = new native.ManagedIdentityApplication();
      const other = new native.ManagedIdentityApplication({ clientCapabilities: ["CP1"] });
      await acquire(one, resources(40));
      await acquire(one, resources(20, 40), "getToken");
      await acquire(one, resources(20, 60), "getToken", { enableCae: true });
      await acquire(other, resources(20, 80));
      report(await reachable());
      native.ManagedIdentityApplication.clearCache();
      report(await reachable());
      // The applications are still there, and go on.
      await acquire(one, resources(1));
      await acquire(other, resources(1));
    },
    endpoint,
  );
  t.is(count(endpoint, before), 100, "the search finds what is there");
  t.is(count(endpoint, after), 0);
});

test("clearCache: another thread lets go while it is idle, and at its next call while it is busy", async (t) => {
  const endpoint = await startCounting(t);
  const reports = await run(
    t,
    async ({ native, require, resources, acquire, reachable, report, settled }) => {
      const { once } = require("node:events");
      const { Worker } = require("node:worker_threads");
      const source = `const { parentPort, workerData } = require("node:worker_threads");
        const { ManagedIdentityApplication } = require(workerData.package);
        const [one, other] = [new ManagedIdentityApplication(), new ManagedIdentityApplication()];
        const acquire = ${acquire};
        acquire(one, workerData.resources).then(() => parentPort.postMessage("ready"));
        const flag = new Int32Array(workerData.flag);
        parentPort.on("message", async (what) => {
          if (what === "block") Atomics.wait(flag, 0, 0);
          // Any call of any application of this thread.
          if (what === "block") await acquire(other, ["https://other.example"]);
          parentPort.postMessage("done");
        });`;
      for (const busy of [false, true]) {
        const flag = new SharedArrayBuffer(4);
        const worker = new Worker(source, {
          eval: true,
          workerData: { package: require.resolve("managed-identity-native"), resources: resources(50), flag },
        });
        await once(worker, "message");
        report(await reachable(await worker.getHeapSnapshot()));
        if (busy) worker.postMessage("block");
        native.ManagedIdentityApplication.clearCache();
        if (busy) {
          Atomics.store(new Int32Array(flag), 0, 1);
          Atomics.notify(new Int32Array(flag), 0);
          await once(worker, "message");
        } else {
          await settled();
          worker.postMessage("answer");
          await once(worker, "message");
        }
        report(await reachable(await worker.getHeapSnapshot()));
        await worker.terminate();
        native.ManagedIdentityApplication.clearCache();
      }
    },
    endpoint,
  );
  t.deepEqual(
    reports.map((hashes) => count(endpoint, hashes)),
    [50, 0, 50, 1],
    "one is the token of the call itself",
  );
});

test("an application that was collected has left no token", async (t) => {
  const endpoint = await startCounting(t);
  const [before, after] = await run(
    t,
    async ({ native, resources, acquire, reachable, report }) => {
      let application = new native.ManagedIdentityApplication();
      await acquire(application, resources(50));
      await acquire(application, resources(50), "getToken", { enableCae: true });
      report(await reachable());
      application = undefined;
      report(await reachable());
    },
    endpoint,
  );
  t.deepEqual([count(endpoint, before), count(endpoint, after)], [100, 0]);
});

test("a token that was replaced is not reachable, however little is asked of who remembered it", async (t) => {
  const endpoint = await startCounting(t);
  const [before, after] = await run(
    t,
    async ({ native, resources, acquire, reachable, report }) => {
      const [one, other] = [new native.ManagedIdentityApplication(), new native.ManagedIdentityApplication()];
      await acquire(one, resources(50));
      report(await reachable());
      await acquire(
        { ask: (resource) => other.acquireToken({ resource, forceRefresh: true }) },
        resources(50),
        "ask",
      );
      await acquire(one, ["https://another.example"]);
      report(await reachable());
    },
    endpoint,
  );
  t.is(count(endpoint, before), 50);
  t.is(count({ tokens: endpoint.tokens.slice(0, 50) }, after), 0);
});

test("tokens that expired do not stay in memory for resources that are never asked for again", async (t) => {
  if (!canMoveClocks) return leaveToRust(t);
  // One of them lives for ten minutes.
  const endpoint = await startCounting(t, { expiresIn: (url) => (url.includes("short") ? 600 : 86_400) });
  const send = await startClocked(t, EVALUATOR, { env: endpoint.env, isSuspended: true });
  const evaluate = async (run, argument) => {
    const { value, error } = await send({ run: `${run}`, argument });
    t.is(error, undefined);
    return value;
  };
  const searched = `async (kept) => {
    const { require } = kept;
    require("node:v8").setFlagsFromString("--expose-gc");
    global.gc = require("node:vm").runInNewContext("gc");
    ${SUPPORT}
    return reachable();
  }`;
  await evaluate(async (kept) => {
    const { ManagedIdentityApplication } = kept.require("managed-identity-native");
    kept.applications = [new ManagedIdentityApplication(), new ManagedIdentityApplication()];
    for (let nth = 0; nth < 50; nth += 1) await kept.applications[0].acquireToken(`https://${nth}.example`);
  });
  t.is(count(endpoint, await evaluate(searched)), 50);
  await send({ leap: 25 * 3_600 });
  await evaluate(
    async ({ applications }) => void (await applications[1].acquireToken("https://other.example")),
  );
  t.is(count(endpoint, await evaluate(searched)), 1);
  // Also if all that is asked for is remembered: after five minutes native code is asked to confirm it.
  await evaluate(
    async ({ applications }) => void (await applications[0].acquireToken("https://short.example")),
  );
  await send({ leap: 25 * 3_600 + 600 });
  await evaluate(
    async ({ applications }) => void (await applications[1].acquireToken("https://other.example")),
  );
  t.is(count(endpoint, await evaluate(searched)), 1);
});

test("the heap does not grow over rounds of many resources with clearCache between", async (t) => {
  t.timeout(180_000);
  const endpoint = await startCounting(t, { length: 4_000 });
  const sizes = await run(
    t,
    async ({ native, resources, acquire, settled, report }) => {
      const application = new native.ManagedIdentityApplication();
      const round = async (nth) => {
        await acquire(application, resources(1_500, nth * 1_500));
        native.ManagedIdentityApplication.clearCache();
        await settled();
        report(process.memoryUsage().heapUsed);
      };
      for (let nth = 0; nth < 5; nth += 1) await round(nth);
    },
    endpoint,
  );
  // The first round compiles and warms up. A round's tokens are six million characters.
  const growth = (sizes.at(-1) - sizes[0]) / 4;
  t.true(growth < 1_000_000, `${Math.round(growth)} bytes per round: ${sizes}`);
});
