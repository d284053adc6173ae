// Heap snapshots: JavaScript holds no reference to a token after clearCache(), after it was replaced and after it
// expired. Each test runs in a child process that gets its tokens from an endpoint in this process.

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { startWithFaketime } from "./support/faketime.mjs";

const EVALUATOR = fileURLToPath(new URL("wall-clock/evaluator.mjs", import.meta.url));

/** Answers each request with a new token of `length` characters. `tokens` has all tokens so far. */
async function startRecordingEndpoint(t, { length = 200, expiresIn = () => 86_400 } = {}) {
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

/** Shared by the programs: acquires and drops tokens, collects garbage, and finds tokens in a heap snapshot. */
const SUPPORT = `
  const resources = (count, from = 0) => Array.from({ length: count }, (_, nth) => "https://" + (from + nth) + ".example");
  const acquire = async (application, resources, method = "acquireToken", options = undefined) => {
    for (let at = 0; at < resources.length; at += 32) {
      await Promise.all(resources.slice(at, at + 32).map(async (resource) => void (await application[method](
        method === "getToken" ? resource + "/.default" : resource, options))));
    }
  };
  const settled = async () => {
    for (let round = 0; round < 5; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      global.gc();
    }
  };
  /** The hashes of the hexadecimal strings of 200 characters in a snapshot; the test compares them with its tokens. */
  const reachable = async (snapshot = require("node:v8").getHeapSnapshot()) => {
    await settled();
    const chunks = [];
    for await (const chunk of snapshot) chunks.push(chunk);
    const { createHash } = require("node:crypto");
    const found = Buffer.concat(chunks).toString("latin1").match(/(?<![0-9a-f])[0-9a-f]{200}(?![0-9a-f])/g) ?? [];
    return [...new Set(found)].map((token) => createHash("sha256").update(token).digest("hex"));
  };
`;

/** Runs a program and returns its reports. */
function run(t, program, { env, ...argument }) {
  const whole = `async (scope) => {
    const { require } = scope;
    ${SUPPORT}
    await (${program})({ ...scope, native: scope.native, resources, acquire, settled, reachable });
  }`;
  return runProcess(t, whole, { env, argument, flags: ["--expose-gc"] });
}

/** The number of an endpoint's tokens that are among the hashes. */
function count({ tokens }, hashes) {
  const issued = new Set(tokens.map((token) => createHash("sha256").update(token).digest("hex")));
  return hashes.filter((hash) => issued.has(hash)).length;
}

test("clearCache removes all tokens of all applications from the JavaScript heap", async (t) => {
  const endpoint = await startRecordingEndpoint(t);
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
      // Both applications still work.
      await acquire(one, resources(1));
      await acquire(other, resources(1));
    },
    endpoint,
  );
  t.is(count(endpoint, before), 100, "the search works");
  t.is(count(endpoint, after), 0);
});

test("clearCache removes the tokens of an idle worker at once, and of a busy worker at its next call", async (t) => {
  const endpoint = await startRecordingEndpoint(t);
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
        parentPort.on("message", async (message) => {
          if (message === "block") Atomics.wait(flag, 0, 0);
          // A call of any application in this thread.
          if (message === "block") await acquire(other, ["https://other.example"]);
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
          worker.postMessage("continue");
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

test("a garbage-collected application leaves no token in the heap", async (t) => {
  const endpoint = await startRecordingEndpoint(t);
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

test("a replaced token is removed from the heap of other applications by their next call for any resource", async (t) => {
  const endpoint = await startRecordingEndpoint(t);
  const [before, after] = await run(
    t,
    async ({ native, resources, acquire, reachable, report }) => {
      const [one, other] = [new native.ManagedIdentityApplication(), new native.ManagedIdentityApplication()];
      await acquire(one, resources(50));
      report(await reachable());
      await acquire(
        { refresh: (resource) => other.acquireToken({ resource, forceRefresh: true }) },
        resources(50),
        "refresh",
      );
      await acquire(one, ["https://another.example"]);
      report(await reachable());
    },
    endpoint,
  );
  t.is(count(endpoint, before), 50);
  t.is(count({ tokens: endpoint.tokens.slice(0, 50) }, after), 0);
});

testWith(test, "libfaketime")(
  "expired tokens of resources that are not requested again are removed from the heap",
  async (t) => {
    // One token has a lifetime of ten minutes.
    const endpoint = await startRecordingEndpoint(t, {
      expiresIn: (url) => (url.includes("short") ? 600 : 86_400),
    });
    const send = await startWithFaketime(t, EVALUATOR, { env: endpoint.env, isSuspended: true });
    const evaluate = async (run, argument) => {
      const { value, error } = await send({ run: `${run}`, argument });
      t.is(error, undefined);
      return value;
    };
    const findTokens = `async (state) => {
    const { require } = state;
    require("node:v8").setFlagsFromString("--expose-gc");
    global.gc = require("node:vm").runInNewContext("gc");
    ${SUPPORT}
    return reachable();
  }`;
    await evaluate(async (state) => {
      const { ManagedIdentityApplication } = state.require("managed-identity-native");
      state.applications = [new ManagedIdentityApplication(), new ManagedIdentityApplication()];
      for (let nth = 0; nth < 50; nth += 1)
        await state.applications[0].acquireToken(`https://${nth}.example`);
    });
    t.is(count(endpoint, await evaluate(findTokens)), 50);
    await send({ jump: 25 * 3_600 });
    await evaluate(
      async ({ applications }) => void (await applications[1].acquireToken("https://other.example")),
    );
    t.is(count(endpoint, await evaluate(findTokens)), 1);
    // Also if every call is served from memory: native code confirms each token every five minutes.
    await evaluate(
      async ({ applications }) => void (await applications[0].acquireToken("https://short.example")),
    );
    await send({ jump: 25 * 3_600 + 600 });
    await evaluate(
      async ({ applications }) => void (await applications[1].acquireToken("https://other.example")),
    );
    t.is(count(endpoint, await evaluate(findTokens)), 1);
  },
);

test("the heap does not grow over rounds of 1,500 resources, each followed by clearCache", async (t) => {
  t.timeout(180_000);
  const endpoint = await startRecordingEndpoint(t, { length: 4_000 });
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
  // The first round includes compilation and warm-up. The tokens of a round have six million characters.
  const growth = (sizes.at(-1) - sizes[0]) / 4;
  t.true(growth < 1_000_000, `${Math.round(growth)} bytes per round: ${sizes}`);
});
