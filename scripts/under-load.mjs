// Runs the suite as it was built last beside busy loops, several times: `npm run test:under-load`. A test that measures
// the machine rather than the package fails here first.
//   node scripts/under-load.mjs [--loops 4] [--runs 20] [-- SPEC…]
// Without specs, each run begins with the Rust unit tests. The output of each run is kept in target/under-load/. The last
// line counts the runs; the exit code is 0 if all passed.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import { loadavg } from "node:os";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const logs = new URL("../target/under-load/", import.meta.url);
const canSignalGroups = process.platform !== "win32";

const { values, positionals: specs } = parseArgs({
  options: { loops: { type: "string", default: "4" }, runs: { type: "string", default: "20" } },
  allowPositionals: true,
});
const loops = parseCount("loops");
const runs = parseCount("runs");

/** Every process that this program has started and that has not ended. */
const children = new Set();
process.on("exit", endChildren);
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
  ["SIGHUP", 1],
]) {
  process.on(signal, () => process.exit(128 + number));
}

for (let i = 0; i < loops; i += 1) {
  // A loop also ends when its parent was killed and could not end it.
  start(process.execPath, ["-e", "const parent = process.ppid; while (process.ppid === parent);"], {
    stdio: "ignore",
  });
}

mkdirSync(logs, { recursive: true });
let failedRuns = 0;
for (let run = 1; run <= runs; run += 1) {
  const results = await runSuite(new URL(`run-${run}.log`, logs));
  const { passed, failures, skipped, seconds } = results;
  console.log(
    `run ${run}: ${passed} passed, ${failures.length} failed, ${skipped} skipped, ${seconds} s, load ${loadavg()[0].toFixed(1)}`,
  );
  for (const title of failures) console.log(`  ${title}`);
  if (failures.length > 0) failedRuns += 1;
}
console.log(`${runs - failedRuns} passed, ${failedRuns} failed`);
process.exit(failedRuns === 0 ? 0 : 1);

function parseCount(name) {
  const count = Number(values[name]);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  console.error(`--${name} needs a number of ${name}, not ${values[name]}.`);
  process.exit(2);
}

/** Returns the counts and the titles of a run of the Rust tests, unless specs are named, and of the specs. */
async function runSuite(log) {
  const results = { passed: 0, failures: [], skipped: 0, seconds: 0 };
  const startedAt = performance.now();
  const output = createWriteStream(log);
  if (specs.length === 0) await runTests("cargo", ["test"], readRustLine, results, output);
  const runner = ["scripts/run-specs.mjs", "--tap", ...specs];
  await runTests(process.execPath, runner, readTapLine, results, output);
  output.end();
  await finished(output);
  results.seconds = Math.round((performance.now() - startedAt) / 1000);
  return results;
}

/** Adds to the results what a test runner prints. A runner that fails without a failed test is a failure of its own. */
async function runTests(file, options, readLine, results, output) {
  const failuresBefore = results.failures.length;
  // In a group of its own, so that the processes that it starts can be ended with it.
  const child = start(file, options, { stdio: ["ignore", "pipe", "pipe"], detached: canSignalGroups });
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  createInterface({ input: child.stdout }).on("line", (line) => readLine(line, results));
  const [code, signal] = await once(child, "close");
  if (code !== 0 && results.failures.length === failuresBefore) {
    results.failures.push(`${file} ${options.join(" ")} ended with ${signal ?? code}`);
  }
}

function readRustLine(line, results) {
  const [, title, result] = line.match(/^test (.+) \.\.\. (ok|FAILED|ignored)/) ?? [];
  if (result === "ok") results.passed += 1;
  if (result === "FAILED") results.failures.push(title);
  if (result === "ignored") results.skipped += 1;
}

function readTapLine(line, results) {
  const [, not, title, skip] = line.match(/^(not )?ok \d+ - (.*?)( # SKIP.*)?$/) ?? [];
  if (title === undefined) return;
  if (skip !== undefined) results.skipped += 1;
  else if (not === undefined) results.passed += 1;
  else results.failures.push(title);
}

function start(file, options, spawnOptions) {
  const child = spawn(file, options, { cwd: root, ...spawnOptions });
  child.inGroup = spawnOptions.detached === true;
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

function endChildren() {
  for (const child of children) {
    try {
      if (child.inGroup) process.kill(-child.pid, "SIGKILL");
      else child.kill("SIGKILL");
    } catch (error) {
      // It has ended, and that is not reported yet.
      if (error.code !== "ESRCH") throw error;
    }
  }
}
