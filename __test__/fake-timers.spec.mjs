// The fake timers of test runners: tokens age by the fake clock, and it affects neither other threads, nor the disk,
// nor calls after it was removed. Each test runs in a child process. The Rust tests cover moving both clocks, in paused
// time.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { startWithFaketime } from "./support/faketime.mjs";

const HOUR = 3_600;
const EVALUATOR = fileURLToPath(new URL("wall-clock/evaluator.mjs", import.meta.url));
/** The clocks of Vitest and Jest start at the current time; those of node:test and sinon start in 1970. */
const CLOCKS = {
  "node:test": ({ require, now }) => {
    const { timers } = require("node:test").mock;
    timers.enable({ apis: ["Date", "setTimeout", "setInterval", "setImmediate"], now });
    return {
      advance: (ms) => timers.tick(ms),
      set: (ms) => timers.setTime(ms),
      restore: () => timers.reset(),
    };
  },
  sinon: ({ require, now }) => {
    const clock = require("sinon").useFakeTimers({ now });
    return {
      advance: (ms) => clock.tick(ms),
      set: (ms) => clock.setSystemTime(ms),
      restore: () => clock.restore(),
    };
  },
  // Vitest uses this package with these options. The real runners are in test-runners.spec.mjs.
  Vitest: ({ require, now = Date.now() }) => {
    const { timers, withGlobal } = require("@sinonjs/fake-timers");
    const toFake = Object.keys(timers).filter((name) => name !== "nextTick" && name !== "queueMicrotask");
    const clock = withGlobal(globalThis).install({ now, toFake, ignoreMissingTimers: true });
    return {
      advance: (ms) => clock.tick(ms),
      set: (ms) => clock.setSystemTime(ms),
      restore: () => clock.uninstall(),
    };
  },
  Jest: ({ require, now = Date.now() }) => {
    const { ModernFakeTimers } = require("@jest/fake-timers");
    const config = { fakeTimers: {}, rootDir: process.cwd(), testMatch: [] };
    const clock = new ModernFakeTimers({ config, global: globalThis });
    clock.useFakeTimers({ now });
    return {
      advance: (ms) => clock.advanceTimersByTime(ms),
      set: (ms) => clock.setSystemTime(ms),
      restore: () => clock.useRealTimers(),
    };
  },
};

/** Runs a program to which `startClock(now)` is available; returns its reports. */
function run(t, clock, program, { endpoint, ...argument }) {
  const whole = `async (scope) => {
    const startClock = (now) => (${CLOCKS[clock]})({ require: scope.require, now });
    await (${program})({ ...scope, native: scope.native, startClock });
  }`;
  return runProcess(t, whole, {
    env: endpoint.env,
    argument: { resource: RESOURCE, ...argument },
    flags: ["--no-warnings"], // The timers of node:test are experimental in Node.js 20.
  });
}

async function startHourly(t) {
  const endpoint = await startEndpoint(t);
  endpoint.always({ expiresIn: HOUR });
  return endpoint;
}

for (const clock of Object.keys(CLOCKS)) {
  test(`${clock}: a fake clock ages tokens only in its thread and only while it is installed`, async (t) => {
    const endpoint = await startHourly(t);
    const [calls] = await run(
      t,
      clock,
      async ({ native, require, startClock, argument, report }) => {
        const { once } = require("node:events");
        const { Worker } = require("node:worker_threads");
        const application = new native.ManagedIdentityApplication();
        const tokens = [];
        const calls = [];
        const record = (step, { accessToken, fromCache, expiresOn }) => {
          if (!tokens.includes(accessToken)) tokens.push(accessToken);
          const left = Math.round((expiresOn.getTime() - Date.now()) / 60_000);
          calls.push([step, tokens.indexOf(accessToken), fromCache, left]);
        };
        const acquire = async (step) => record(step, await application.acquireToken(argument.resource));
        const source = `const { parentPort, workerData } = require("node:worker_threads");
          const { ManagedIdentityApplication } = require(workerData.package);
          const application = new ManagedIdentityApplication();
          parentPort.on("message", async (resource) => {
            parentPort.postMessage(await application.acquireToken(resource));
          });`;
        const worker = new Worker(source, {
          eval: true,
          workerData: { package: require.resolve("managed-identity-native") },
        });
        const acquireInWorker = async (step) => {
          worker.postMessage(argument.resource);
          record(step, (await once(worker, "message"))[0]);
        };

        await acquire("before");
        await acquireInWorker("worker");
        const timers = startClock(Date.now());
        await acquire("fake");
        timers.advance(1_800_000);
        await acquire("half an hour later");
        timers.advance(5_400_000);
        await acquire("two hours later");
        await acquire("again");
        timers.advance(7_200_000);
        await acquire("four hours later");
        await acquire("again");
        timers.set(Date.now() - 10 * 86_400_000);
        await acquire("ten days earlier");
        timers.advance(7_200_000);
        await acquire("two hours later");
        timers.restore();
        await acquire("afterwards");
        await acquireInWorker("worker");
        await worker.terminate();
        report(calls);
      },
      { endpoint },
    );
    // For each call: its step, the index of its token, whether the token was cached, and its remaining minutes.
    t.deepEqual(
      calls.filter(([step]) => step !== "worker"),
      [
        ["before", 0, false, 60],
        ["fake", 0, true, 60],
        ["half an hour later", 0, true, 30],
        ["two hours later", 1, false, 60],
        ["again", 1, true, 60],
        ["four hours later", 2, false, 60],
        ["again", 2, true, 60],
        ["ten days earlier", 2, true, 60],
        ["two hours later", 3, false, 60],
        ["afterwards", 0, true, 60],
      ],
    );
    const workerCalls = calls.filter(([step]) => step === "worker");
    t.deepEqual(
      workerCalls.map(([, token, fromCache]) => [token, fromCache]),
      [
        [0, true],
        [0, true],
      ],
    );
    t.is(endpoint.requests.length, 4);
  });

  test(`${clock}: a fake clock that is installed before the package is loaded ages the tokens of getToken`, async (t) => {
    const endpoint = await startHourly(t);
    const [calls] = await run(
      t,
      clock,
      async (scope) => {
        // The package is loaded when `native` is first read, so it has only seen the fake clock.
        const timers = scope.startClock();
        const { native, argument, report } = scope;
        const application = new native.ManagedIdentityApplication();
        const tokens = [];
        const acquire = async () => {
          const { token, expiresOnTimestamp } = await application.getToken(`${argument.resource}/.default`);
          if (!tokens.includes(token)) tokens.push(token);
          return [tokens.indexOf(token), Math.round((expiresOnTimestamp - Date.now()) / 60_000)];
        };
        const calls = [await acquire(), await acquire()];
        timers.advance(3_360_000);
        calls.push(await acquire());
        timers.advance(7_200_000);
        calls.push(await acquire(), await acquire());
        timers.restore();
        calls.push(await acquire(), await acquire());
        report(calls);
      },
      { endpoint },
    );
    // The clocks of Vitest and Jest start at the current time, so the real clock finds the first token too.
    const startsNow = clock === "Vitest" || clock === "Jest";
    const afterwards = startsNow ? calls.at(-1)[0] : 3;
    t.true(afterwards === 0 || afterwards === 3); // 3 if the first call took more than five seconds.
    t.deepEqual(calls, [
      [0, 60],
      [0, 60],
      // The first token had four minutes left. The endpoint says that the second expires in one hour of real time: four
      // minutes for a clock that is 56 minutes ahead, one hour for a clock that is years behind.
      [1, startsNow ? 4 : 60],
      [2, 60],
      [2, 60],
      [afterwards, 60],
      [afterwards, 60],
    ]);
  });

  test(`${clock}: a fake clock does not affect records on disk`, async (t) => {
    const endpoint = await startHourly(t);
    const directory = mkdtempSync(join(tmpdir(), "fake-clock-"));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const [count] = await run(
      t,
      clock,
      async ({ native, startClock, argument, report }) => {
        const application = new native.ManagedIdentityApplication({
          cache: { directory: argument.directory },
        });
        const tokens = new Set();
        const acquire = async () =>
          tokens.add((await application.acquireToken(argument.resource)).accessToken);
        await acquire();
        for (const offset of [7_200_000, -7_200_000]) {
          const timers = startClock(Date.now() + offset);
          await acquire();
          await application.acquireToken({ resource: argument.resource, forceRefresh: true });
          timers.advance(7_200_000);
          await acquire();
          timers.restore();
        }
        await acquire();
        report(tokens.size);
      },
      { endpoint, directory },
    );
    t.true(count > 1);
    const records = readdirSync(directory).filter((name) => name.endsWith(".json"));
    t.is(records.length, 1);
    const record = JSON.parse(readFileSync(join(directory, records[0]), "utf8"));
    t.true(Math.abs(record.expires_on_ms - Date.now() - HOUR * 1_000) < 600_000);
    // Another process reads the record and sends no request.
    const before = endpoint.requests.length;
    await runProcess(
      t,
      async ({ native, argument, report }) => {
        const application = new native.ManagedIdentityApplication({
          cache: { directory: argument.directory },
        });
        report((await application.acquireToken(argument.resource)).fromCache);
      },
      { env: endpoint.env, argument: { resource: RESOURCE, directory } },
    );
    t.is(endpoint.requests.length, before);
  });
}

test("a token that expires during the call by a fake clock is replaced by a new one", async (t) => {
  const endpoint = await startHourly(t);
  const release = endpoint.hold();
  const calls = run(
    t,
    "sinon",
    async ({ native, startClock, argument, report }) => {
      const timers = startClock(Date.now() + 86_400_000);
      const call = new native.ManagedIdentityApplication().acquireToken(argument.resource);
      timers.advance(7_200_000);
      const { expiresOn } = await call;
      report(Math.round((expiresOn.getTime() - Date.now()) / 60_000));
    },
    { endpoint },
  );
  await endpoint.waitForRequests(1);
  release();
  t.deepEqual(await calls, [60]);
  t.is(endpoint.requests.length, 2);
});

test("calls under a frozen fake clock do not share the first call's timeout", async (t) => {
  const endpoint = await startHourly(t);
  endpoint.hold();
  const [order] = await run(
    t,
    "Jest",
    async ({ native, startClock, argument, report }) => {
      const application = new native.ManagedIdentityApplication({ system: { totalTimeout: 6_000 } });
      const realTimeout = setTimeout;
      startClock();
      const order = [];
      const acquire = (name) => application.acquireToken(argument.resource).catch(() => order.push(name));
      const first = acquire("first");
      await new Promise((resolve) => realTimeout(resolve, 5_000));
      const second = acquire("second");
      await first;
      order.push("between");
      await second;
      report(order);
    },
    { endpoint },
  );
  t.deepEqual(order, ["first", "between", "second"]);
});

test("a Date.now that returns no valid time is ignored", async (t) => {
  const endpoint = await startHourly(t);
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const { now } = Date;
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -Number.MAX_VALUE, 5n, "now", undefined]) {
        Date.now = () => value;
        const { expiresOn, fromCache } = await application.acquireToken(argument.resource);
        report([fromCache, Math.round((expiresOn.getTime() - now()) / 60_000)]);
      }
    },
    { env: endpoint.env, argument: { resource: RESOURCE } },
  );
  t.is(reports.length, 6);
  for (const [index, [, left]] of reports.entries()) if (index !== 2) t.is(left, 60);
});

testWith(test, "libfaketime")(
  "a token that expired in real time is not returned under a frozen fake clock",
  async (t) => {
    const endpoint = await startHourly(t);
    // The response has only a lifetime, because the clock of the endpoint does not jump.
    endpoint.always({ body: ({ expires_on, ...original }) => ({ ...original, expires_in: HOUR }) });
    const send = await startWithFaketime(t, EVALUATOR, { env: endpoint.env, isSuspended: true });
    const acquire = async (prepare) => {
      const run = `async (state, argument) => {
      const { ManagedIdentityApplication } = state.require("managed-identity-native");
      state.application ??= new ManagedIdentityApplication();
      ${prepare}
      return (await state.application.acquireToken(argument.resource)).fromCache;
    }`;
      const { value, error } = await send({ run, argument: { resource: RESOURCE } });
      t.is(error, undefined);
      return value;
    };
    t.deepEqual([await acquire(""), await acquire("")], [false, true]);
    t.true(
      await acquire(
        `state.timers = state.require("sinon").useFakeTimers({ now: Date.now(), toFake: ["Date"] });`,
      ),
    );
    await send({ jump: HOUR - 310 });
    t.true(await acquire(""));
    await send({ jump: 2 * HOUR });
    t.deepEqual([await acquire(""), await acquire("")], [false, true]);
    await send({ jump: 4 * HOUR });
    // The real clock is past the end of both tokens.
    t.deepEqual([await acquire("state.timers.restore();"), await acquire("")], [false, true]);
    t.is(endpoint.requests.length, 3);
  },
);
