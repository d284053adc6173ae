// The fake timers of test runners: tokens age by them, and nothing of them reaches other threads, the disk or the time
// after them. Each test has a process of its own. What takes moving both clocks is proven in Rust, in paused time.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { canMoveClocks, leaveToRust, startClocked } from "./support/clocks.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";

const HOUR = 3_600;
const EVALUATOR = fileURLToPath(new URL("time/evaluator.mjs", import.meta.url));
/** Vitest's and Jest's start at the time that it is; node:test's and sinon's in 1970. */
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
  // Vitest's own is this package with these options; the real runners are in test-runners.spec.mjs.
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

/** Runs a program that finds `startClock(now)`; gives its reports. */
function run(t, clock, program, { endpoint, ...argument }) {
  const whole = `async (scope) => {
    const startClock = (now) => (${CLOCKS[clock]})({ require: scope.require, now });
    await (${program})({ ...scope, native: scope.native, startClock });
  }`;
  return runProcess(t, whole, {
    env: endpoint.env,
    argument: { resource: RESOURCE, ...argument },
    flags: ["--no-warnings"], // node:test's is experimental in Node.js 20.
  });
}

async function startHourly(t) {
  const endpoint = await startEndpoint(t);
  endpoint.always({ expiresIn: HOUR });
  return endpoint;
}

for (const clock of Object.keys(CLOCKS)) {
  test(`${clock}: its clock ages tokens, for its own thread and as long as it is there`, async (t) => {
    const endpoint = await startHourly(t);
    const [asked] = await run(
      t,
      clock,
      async ({ native, require, startClock, argument, report }) => {
        const { once } = require("node:events");
        const { Worker } = require("node:worker_threads");
        const application = new native.ManagedIdentityApplication();
        const tokens = [];
        const asked = [];
        const note = (what, { accessToken, fromCache, expiresOn }) => {
          if (!tokens.includes(accessToken)) tokens.push(accessToken);
          const left = Math.round((expiresOn.getTime() - Date.now()) / 60_000);
          asked.push([what, tokens.indexOf(accessToken), fromCache, left]);
        };
        const ask = async (what) => note(what, await application.acquireToken(argument.resource));
        const source = `const { parentPort, workerData } = require("node:worker_threads");
          const { ManagedIdentityApplication } = require(workerData.package);
          const application = new ManagedIdentityApplication();
          parentPort.on("message", async (resource) => {
            parentPort.postMessage(await application.acquireToken(resource));
          });`;
        const worker = new Worker(source, {
          eval: true,
          workerData: { package: require.resolve("../../index.js") },
        });
        const askElsewhere = async (what) => {
          worker.postMessage(argument.resource);
          note(what, (await once(worker, "message"))[0]);
        };

        await ask("before");
        await askElsewhere("elsewhere");
        const timers = startClock(Date.now());
        await ask("fake");
        timers.advance(1_800_000);
        await ask("half an hour later");
        timers.advance(5_400_000);
        await ask("two hours later");
        await ask("again");
        timers.advance(7_200_000);
        await ask("four hours later");
        await ask("again");
        timers.set(Date.now() - 10 * 86_400_000);
        await ask("ten days earlier");
        timers.advance(7_200_000);
        await ask("two hours later");
        timers.restore();
        await ask("afterwards");
        await askElsewhere("elsewhere");
        await worker.terminate();
        report(asked);
      },
      { endpoint },
    );
    // What was asked, which token came, whether from the cache, and how many minutes it is told to have left.
    t.deepEqual(
      asked.filter(([what]) => what !== "elsewhere"),
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
    const elsewhere = asked.filter(([what]) => what === "elsewhere");
    t.deepEqual(
      elsewhere.map(([, token, fromCache]) => [token, fromCache]),
      [
        [0, true],
        [0, true],
      ],
    );
    t.is(endpoint.requests.length, 4);
  });

  test(`${clock}: with its own start, before the package is loaded, and getToken`, async (t) => {
    const endpoint = await startHourly(t);
    const [asked] = await run(
      t,
      clock,
      async (scope) => {
        // The package, which is loaded when it is first read, has not seen another clock.
        const timers = scope.startClock();
        const { native, argument, report } = scope;
        const application = new native.ManagedIdentityApplication();
        const tokens = [];
        const ask = async () => {
          const { token, expiresOnTimestamp } = await application.getToken(`${argument.resource}/.default`);
          if (!tokens.includes(token)) tokens.push(token);
          return [tokens.indexOf(token), Math.round((expiresOnTimestamp - Date.now()) / 60_000)];
        };
        const asked = [await ask(), await ask()];
        timers.advance(3_360_000);
        asked.push(await ask());
        timers.advance(7_200_000);
        asked.push(await ask(), await ask());
        timers.restore();
        asked.push(await ask(), await ask());
        report(asked);
      },
      { endpoint },
    );
    // Vitest's and Jest's clocks start with the system's time, so that the first token is everybody's.
    const isOfNow = clock === "Vitest" || clock === "Jest";
    const afterwards = isOfNow ? asked.at(-1)[0] : 3;
    t.true(afterwards === 0 || afterwards === 3); // 3 if the first call took over five seconds.
    t.deepEqual(asked, [
      [0, 60],
      [0, 60],
      // The first had four minutes left. The second ends, as the endpoint says, in an hour of real time: by a clock that
      // is 56 minutes ahead of that in four minutes, by one that is years behind in an hour.
      [1, isOfNow ? 4 : 60],
      [2, 60],
      [2, 60],
      [afterwards, 60],
      [afterwards, 60],
    ]);
  });

  test(`${clock}: nothing of it reaches the disk`, async (t) => {
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
        const ask = async () => tokens.add((await application.acquireToken(argument.resource)).accessToken);
        await ask();
        for (const moved of [7_200_000, -7_200_000]) {
          const timers = startClock(Date.now() + moved);
          await ask();
          await application.acquireToken({ resource: argument.resource, forceRefresh: true });
          timers.advance(7_200_000);
          await ask();
          timers.restore();
        }
        await ask();
        report(tokens.size);
      },
      { endpoint, directory },
    );
    t.true(count > 1);
    const records = readdirSync(directory).filter((name) => name.endsWith(".json"));
    t.is(records.length, 1);
    const record = JSON.parse(readFileSync(join(directory, records[0]), "utf8"));
    t.true(Math.abs(record.expires_on_ms - Date.now() - HOUR * 1_000) < 600_000);
    // Another process finds it and needs no request.
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

test("a clock that is moved past the token's end while the call is under way: another is asked for", async (t) => {
  const endpoint = await startHourly(t);
  const release = endpoint.hold();
  const asked = run(
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
  t.deepEqual(await asked, [60]);
  t.is(endpoint.requests.length, 2);
});

test("calls by a clock that stands still do not share the first one's timeout", async (t) => {
  const endpoint = await startHourly(t);
  endpoint.hold();
  const [codes] = await run(
    t,
    "Jest",
    async ({ native, startClock, argument, report }) => {
      const application = new native.ManagedIdentityApplication({ system: { totalTimeout: 2_000 } });
      const realTimeout = setTimeout;
      startClock();
      const ended = [];
      const ask = (name) => application.acquireToken(argument.resource).catch(() => ended.push(name));
      const first = ask("first");
      await new Promise((resolve) => realTimeout(resolve, 1_000));
      const second = ask("second");
      await first;
      ended.push("between");
      await second;
      report(ended);
    },
    { endpoint },
  );
  t.deepEqual(codes, ["first", "between", "second"]);
});

test("a Date.now that tells no time leaves the system's", async (t) => {
  const endpoint = await startHourly(t);
  const reports = await runProcess(
    t,
    async ({ native, argument, report }) => {
      const application = new native.ManagedIdentityApplication();
      const { now } = Date;
      for (const told of [Number.NaN, Number.POSITIVE_INFINITY, -Number.MAX_VALUE, 5n, "now", undefined]) {
        Date.now = () => told;
        const { expiresOn, fromCache } = await application.acquireToken(argument.resource);
        report([fromCache, Math.round((expiresOn.getTime() - now()) / 60_000)]);
      }
    },
    { env: endpoint.env, argument: { resource: RESOURCE } },
  );
  t.is(reports.length, 6);
  for (const [index, [, left]] of reports.entries()) if (index !== 2) t.is(left, 60);
});

test("a clock that stands still serves no token that has expired in real time", async (t) => {
  if (!canMoveClocks) return leaveToRust(t);
  const endpoint = await startHourly(t);
  // It tells lifetimes only, since its own clock does not leap.
  endpoint.always({ body: ({ expires_on, ...answer }) => ({ ...answer, expires_in: HOUR }) });
  const send = await startClocked(t, EVALUATOR, { env: endpoint.env, isSuspended: true });
  const ask = async (prepare) => {
    const run = `async (kept, argument) => {
      const { ManagedIdentityApplication } = kept.require("../../index.js");
      kept.application ??= new ManagedIdentityApplication();
      ${prepare}
      return (await kept.application.acquireToken(argument.resource)).fromCache;
    }`;
    const { value, error } = await send({ run, argument: { resource: RESOURCE } });
    t.is(error, undefined);
    return value;
  };
  t.deepEqual([await ask(""), await ask("")], [false, true]);
  t.true(
    await ask(`kept.timers = kept.require("sinon").useFakeTimers({ now: Date.now(), toFake: ["Date"] });`),
  );
  await send({ leap: HOUR - 310 });
  t.true(await ask(""));
  await send({ leap: 2 * HOUR });
  t.deepEqual([await ask(""), await ask("")], [false, true]);
  await send({ leap: 4 * HOUR });
  // By the right clock, after it: neither the first nor the second.
  t.deepEqual([await ask("kept.timers.restore();"), await ask("")], [false, true]);
  t.is(endpoint.requests.length, 3);
});
