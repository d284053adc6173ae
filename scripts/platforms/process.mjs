// Runs programs, writing what they print into a log file for each platform and step.

import { spawnSync } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
/** Everything that the script downloads, unpacks, builds and logs. */
export const work = join(root, "target", "platforms");
export const logs = join(work, "logs");

/** A step that failed: `message` is one line, and the log has the rest. */
export class StepError extends Error {}

let log;

/** Starts the log file into which the programs of a step write. */
export function startLog(name) {
  mkdirSync(logs, { recursive: true });
  log = join(logs, `${name}.log`);
  writeFileSync(log, "");
  return log;
}

/**
 * Runs a program to its end and returns what it printed. Its output goes into a file and not through a pipe, since
 * Node.js for Windows cannot write into a pipe of Wine's host. Throws a `StepError` if it fails, unless `mayFail` is set.
 * After `timeout` milliseconds the program is killed; `isTimedOut` says so.
 */
export function run(command, args, { cwd = root, env = process.env, mayFail = false, timeout } = {}) {
  appendFileSync(log, `\n$ ${[command, ...args].join(" ")}\n`);
  const start = readFileSync(log).length;
  const output = openSync(log, "a");
  const { status, signal, error } = spawnSync(command, args, {
    ...{ cwd, env, timeout, killSignal: "SIGKILL" },
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const text = readFileSync(log).subarray(start).toString();
  if (status !== 0 && !mayFail) {
    throw new StepError(`${command} ended with ${error?.code ?? signal ?? status}`);
  }
  return { status, text, isTimedOut: error?.code === "ETIMEDOUT" };
}

/**
 * Locks a platform for this process, and returns whether it could: a second run would remove the copy of the package
 * that the first one uses. The lock belongs to the open file, which flock(1) inherits, and ends with this process.
 */
export function lockPlatform(name) {
  const file = openSync(join(work, `${name}.lock`), "w");
  const { status, error } = spawnSync("flock", ["--nonblock", "3"], {
    stdio: ["ignore", "ignore", "inherit", file],
  });
  if (error !== undefined) throw error;
  return status === 0;
}

/** The processor time, in seconds, of all programs that have ended so far; it does not depend on the machine's load. */
export function processorSeconds() {
  const stat = readFileSync("/proc/self/stat", "utf8");
  // The times of ended children in user and kernel mode (proc(5)), in units that are 1/100 s on Linux.
  const [user, kernel] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(13, 15);
  return (Number(user) + Number(kernel)) / 100;
}

/** Runs a program quietly and returns its output: for questions whose answers the script needs. */
export function read(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", ...options });
  if (status !== 0) throw new StepError(`${command} failed: ${error?.code ?? stderr.trim()}`);
  return stdout;
}
