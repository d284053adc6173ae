// Checks every platform of package.json from one Debian machine (x86-64, as root): lint, build, Rust tests, main job,
// specs. docs/platforms.md says how, and has the table of the last run.
//
//   npm run platforms -- [--only <platform>,…] [--skip <step>,…] [--write]
//
// Everything is downloaded and built below target/platforms, which later runs use again. `--write` also puts the table
// into docs/platforms.md. The table shows the last result of each step, so that it can be filled by several runs.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, compileTests, lint } from "./compile.mjs";
import { copyRepository } from "./package.mjs";
import { platforms } from "./platforms.mjs";
import { logs, read, root, StepError, startLog, work } from "./process.mjs";
import { makeTable, writeTable } from "./table.mjs";

const steps = { lint, build, rust: runRustTests, job: runMainJob, specs: runSpecs };
const resultsFile = join(work, "results.json");

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    skip: { type: "string", multiple: true, default: [] },
    write: { type: "boolean", default: false },
  },
});
const only = split(values.only);
const skipped = split(values.skip);
rejectUnknown(
  only,
  platforms.map(({ name }) => name),
  "platform",
);
rejectUnknown(skipped, Object.keys(steps), "step");

mkdirSync(work, { recursive: true });
for (const platform of platforms) {
  if (only.length > 0 && !only.includes(platform.name)) continue;
  for (const step of Object.keys(steps)) {
    if (!skipped.includes(step) && isPossible(platform, step)) runStep(platform, step);
  }
}
const table = makeTable(platforms, Object.keys(steps), readResults(), isPossible);
console.log(`\n${table}`);
if (values.write) writeTable(table);

function split(lists) {
  return lists.flatMap((list) => list.split(",")).filter((name) => name !== "");
}

function rejectUnknown(names, known, kind) {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  console.error(`There is no ${kind} "${unknown}"; choose from: ${known.join(", ")}.`);
  process.exit(2);
}

/** Without a way to run a platform's programs here, only the compiler can check it. */
function isPossible({ runner, hasSpecs }, step) {
  if (step === "specs") return hasSpecs === true;
  return runner !== undefined || step === "lint" || step === "build";
}

function runStep(platform, step) {
  startLog(`${platform.name}-${step}`);
  const started = performance.now();
  let result;
  try {
    result = { isOk: true, detail: steps[step](platform) };
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.exitCode = 1;
    result = { isOk: false, detail: error.message };
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  // Read again, since another run may have written results of other platforms.
  const results = readResults();
  results[platform.name] = { ...results[platform.name], [step]: { ...result, seconds, commit: commit() } };
  writeFileSync(resultsFile, JSON.stringify(results, undefined, 2));
  console.log(
    `${result.isOk ? "ok    " : "FAILED"} ${platform.name} ${step}: ${result.detail} (${seconds} s)`,
  );
}

function readResults() {
  return existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile, "utf8")) : {};
}

/** The commit that was checked; with `+` if files of the repository differ from it. */
function commit() {
  const changes = read("git", ["status", "--porcelain", "--untracked-files=no"], { cwd: root });
  return read("git", ["rev-parse", "--short", "HEAD"], { cwd: root }).trim() + (changes === "" ? "" : "+");
}

function runRustTests(platform) {
  const program = compileTests(platform);
  const { status, text } = platform.runner.run(platform, program, [], { cwd: root, mayFail: true });
  const [, passed, failed] = /^test result: \w+\. (\d+) passed; (\d+) failed/m.exec(text) ?? [];
  if (status !== 0) {
    const names = [...text.matchAll(/^test (\S+) \.\.\. FAILED/gm)].map(([, name]) => name);
    throw new StepError(`${failed ?? "all"} failed, ${passed ?? 0} passed: ${names.join(", ") || status}`);
  }
  return `${passed} passed`;
}

function runMainJob(platform) {
  const { version } = platform.runner.prepare(platform);
  const cwd = copyRepository(platform);
  platform.runner.run(platform, "node", ["examples/main-job.js"], { cwd });
  return `Node.js ${version.slice(1)}`;
}

function runSpecs(platform) {
  const cwd = copyRepository(platform);
  const ava = ["node_modules/ava/entrypoints/cli.mjs", "--tap", `--concurrency=${availableParallelism()}`];
  const { status, text } = platform.runner.run(platform, "node", ava, { cwd, mayFail: true });
  const count = (name) => Number(new RegExp(`^# ${name} (\\d+)`, "m").exec(text)?.[1] ?? 0);
  const summary = `${count("pass")} passed, ${count("skip")} skipped`;
  if (status === 0) return summary;
  throw new StepError(`${count("fail")} failed, ${summary}: see ${join(logs, `${platform.name}-specs.log`)}`);
}
