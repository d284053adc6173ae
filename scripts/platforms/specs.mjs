// The step that runs the specs, in one process or in several, and adds up their results.

import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { copyRepository } from "./package.mjs";
import { StepError } from "./process.mjs";

/** On a busy machine the chunk with the packages takes a quarter of an hour. */
const CHUNK_TIMEOUT_MS = 30 * 60_000;
const SKIPPED = /^(.*) \(without ([^:]+): (.*)\) # SKIP/;

/** How often a file is run again at most while it is lost: one that ends many processes can crash Wine's server twice. */
const MAX_RERUNS = 4;

/**
 * Runs the specs of a platform. With `specsPerRun`, so many files run at a time, and those that failed, or were lost in a
 * crash of the emulator, run again one by one: the last result counts. Returns the result in words and, by capability, how
 * many tests were skipped.
 */
export function runSpecs(platform) {
  const cwd = copyRepository(platform);
  const files = specFiles(cwd);
  const results = new Map();
  const repeated = [];
  for (const chunk of chunks(files, platform.specsPerRun ?? files.length)) {
    addAll(results, runOnce(platform, cwd, chunk));
    const again = chunk.filter((file) => results.get(file)?.failed !== 0);
    if (platform.specsPerRun === undefined || again.length === 0) continue;
    repeated.push(...again);
    for (const file of again) addAll(results, runAgain(platform, cwd, file));
  }
  const total = (name) => [...results.values()].reduce((sum, result) => sum + result[name], 0);
  const lost = files.length - results.size;
  const detail = [
    ...[total("failed")].filter((count) => count > 0).map((count) => `${count} failed`),
    ...[lost].filter((count) => count > 0).map((count) => `${count} files without a result`),
    `${total("passed")} passed, ${total("skipped")} skipped`,
    ...[repeated.length].filter((count) => count > 0).map((count) => `${count} files run again`),
  ].join(", ");
  if (total("failed") === 0 && lost === 0) return { detail, skips: countSkips(results) };
  throw new StepError(detail);
}

/** Runs one file, until it has a result. */
function runAgain(platform, cwd, file) {
  let results = new Map();
  for (let count = 0; count < MAX_RERUNS && results.size === 0; count += 1) {
    results = runOnce(platform, cwd, [file]);
  }
  return results;
}

/** Runs ava and returns the results of the files: no result if the run did not reach its end. */
function runOnce(platform, cwd, files) {
  const ava = "node_modules/ava/entrypoints/cli.mjs";
  // Under Wine processes start slowly. After such a time without a result ava ends, and its output is incomplete.
  const limits = ["--concurrency=1", "--timeout=5m"];
  const whole = [`--concurrency=${availableParallelism()}`];
  const args = [ava, "--tap", ...(platform.specsPerRun === undefined ? whole : limits), ...files];
  const { text } = platform.runner.run(platform, "node", args, {
    cwd,
    mayFail: true,
    timeout: platform.specsPerRun === undefined ? undefined : CHUNK_TIMEOUT_MS,
  });
  const results = new Map(files.map((file) => [file, { passed: 0, failed: 0, skipped: 0, reasons: [] }]));
  const byTitle = new Map(files.map((file) => [titlePrefix(file, files), results.get(file)]));
  const failed = [];
  for (const [, not, line] of text.matchAll(/^(not )?ok \d+ - (.*)$/gm)) {
    const names = line.split(" › ").map((_, count, parts) => parts.slice(0, count).join(" › "));
    const name = names.find((prefix) => byTitle.has(prefix)) ?? titlePrefix(files[0], files);
    const result = byTitle.get(name);
    if (not) failed.push(result);
    if (not) result.failed += 1;
    else if (line.trimEnd().endsWith("# SKIP")) result.skipped += 1;
    else result.passed += 1;
    const [, , capability, reason] = SKIPPED.exec(line) ?? [];
    if (capability !== undefined) result.reasons.push({ capability, reason });
  }
  const counted = /^# fail (\d+)/m.exec(text)?.[1];
  if (counted === undefined) return new Map();
  // The tests after a hook that failed are on no line.
  const [first = results.get(files[0])] = failed;
  first.failed += Number(counted) - failed.length;
  return results;
}

function addAll(results, more) {
  for (const [file, result] of more) results.set(file, result);
}

function countSkips(results) {
  const skips = {};
  for (const { capability, reason } of [...results.values()].flatMap(({ reasons }) => reasons)) {
    skips[capability] = { count: 1 + (skips[capability]?.count ?? 0), reason };
  }
  return skips;
}

function specFiles(cwd) {
  return readdirSync(join(cwd, "__test__"), { recursive: true })
    .filter((name) => name.endsWith(".spec.mjs"))
    .map((name) => `__test__/${name}`)
    .sort();
}

/** Returns the name that ava puts in front of the titles of a file, if it runs several: its path below their folder. */
function titlePrefix(file, files) {
  const folders = file.split("/").slice(0, -1);
  const common = folders.findIndex((_, depth) => {
    const start = `${folders.slice(0, depth + 1).join("/")}/`;
    return !files.every((each) => each.startsWith(start));
  });
  const parts = file.split("/").slice(common === -1 ? folders.length : common);
  const name = parts
    .pop()
    .replace(/\.spec\.mjs$/, "")
    .replace("test-", "");
  return [...parts, name].join(" › ");
}

function chunks(files, size) {
  const count = Math.ceil(files.length / size);
  return Array.from({ length: count }, (_, nth) => files.slice(nth * size, (nth + 1) * size));
}
