// Checks every platform of package.json from one Debian machine (x86-64, as root): lint, build, Rust tests, main job,
// specs, installation by name. docs/platforms.md says how, and has the table of the last run.
//
//   npm run platforms -- [--only <platform>,…] [--skip <step>,…] [--again] [--write]
//
// Everything is downloaded and built below target/platforms, which later runs use again. A step that has passed for the
// same commit is not repeated, unless `--again` is given. `--write` also puts the table into docs/platforms.md. The table
// shows the last result of each step, so that it can be filled by several runs.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { addonFile, build, lint } from "./compile.mjs";
import { platforms } from "./platforms.mjs";
import { lockPlatform, processorSeconds, read, root, run, StepError, startLog, work } from "./process.mjs";
import { runSpecs } from "./specs.mjs";
import { checkInstallation, runMainJob, runRustTests } from "./steps.mjs";
import { makeTable, page, writeTable } from "./table.mjs";
import { buildEnvironment } from "./toolchain.mjs";

const steps = {
  ...{ lint, build, rust: runRustTests, job: runMainJob },
  ...{ specs: runSpecs, installation: checkInstallation },
};
const resultsFile = join(work, "results.json");

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    again: { type: "boolean", default: false },
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
installDependencies();
for (const platform of platforms) {
  if (only.length > 0 && !only.includes(platform.name)) continue;
  if (!lockPlatform(platform.name)) {
    process.exitCode = 1;
    console.log(`FAILED ${platform.name}: another run of this platform is in progress`);
    continue;
  }
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

/** Downloads what every platform needs, if that has not been done, so that a fresh clone needs no other command before. */
function installDependencies() {
  const log = startLog("setup");
  try {
    // It insists on cargo, which the machine may lack.
    run(process.execPath, ["scripts/setup.mjs"], { env: buildEnvironment() });
    run("cargo", ["fetch", "--locked"], { env: buildEnvironment() });
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    console.error(`${error.message}: see ${log}`);
    process.exit(1);
  }
}

/** Without a way to run a platform's programs here, only the compiler can check it. */
function isPossible({ runner, hasSpecs, hasInstallation }, step) {
  if (step === "specs") return hasSpecs === true;
  if (step === "installation") return hasInstallation === true;
  return runner !== undefined || step === "lint" || step === "build";
}

function runStep(platform, step) {
  const checked = commit();
  if (!values.again && isCurrent(platform, step, checked)) {
    console.log(`ok     ${platform.name} ${step}: ${readResults()[platform.name][step].detail} (earlier)`);
    return;
  }
  const log = startLog(`${platform.name}-${step}`);
  const [started, processorStarted] = [performance.now(), processorSeconds()];
  let result;
  try {
    const outcome = steps[step](platform);
    result = { isOk: true, ...(typeof outcome === "string" ? { detail: outcome } : outcome) };
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.exitCode = 1;
    result = { isOk: false, detail: error.message };
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  const ofProcessors = Math.round(processorSeconds() - processorStarted);
  // Read again, since another run may have written results of other platforms.
  const results = readResults();
  results[platform.name] = {
    ...results[platform.name],
    [step]: { ...result, seconds, processorSeconds: ofProcessors, commit: checked },
  };
  writeFileSync(resultsFile, JSON.stringify(results, undefined, 2));
  const times = `(${seconds} s, ${ofProcessors} s of processors)`;
  console.log(
    result.isOk
      ? `ok     ${platform.name} ${step}: ${result.detail} ${times}`
      : `FAILED ${platform.name} ${step}: ${result.detail} ${times}: see ${log}`,
  );
}

/** Whether the step has passed for this commit, without further changes, and the file that it makes is there. */
function isCurrent(platform, step, checked) {
  const result = readResults()[platform.name]?.[step];
  if (result?.isOk !== true || result.commit !== checked || checked.endsWith("+")) return false;
  return step !== "build" || existsSync(addonFile(platform));
}

function readResults() {
  return existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile, "utf8")) : {};
}

/** The commit that was checked; with `+` if files of the repository, except the page with the table, differ from it. */
function commit() {
  const files = [".", `:!${relative(root, page)}`];
  const changes = read("git", ["status", "--porcelain", "--untracked-files=no", "--", ...files], {
    cwd: root,
  });
  return read("git", ["rev-parse", "--short", "HEAD"], { cwd: root }).trim() + (changes === "" ? "" : "+");
}
