// A small C library that, preloaded into a process, makes file operations hang.

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("slow-files.c", import.meta.url));

const directory = mkdtempSync(join(tmpdir(), "slow-files-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

/** Environment variables that preload the library. The process sets SLOW_FILES itself. */
export const preloadEnvironment = { LD_PRELOAD: join(directory, "slow-files.so") };

/** Compiles the library, and returns why it is unavailable on this machine; undefined if it is available. */
export function findSlowFilesProblem() {
  if (process.platform !== "linux") return "LD_PRELOAD: Linux only";
  const compiler = ["gcc", "-shared", "-fPIC", "-O1", "-o", preloadEnvironment.LD_PRELOAD, SOURCE, "-ldl"];
  const compiled = run(compiler);
  if (compiled.problem !== undefined) return `no library: ${compiled.problem}`;
  const program = 'process.env.SLOW_FILES = "/dev/null"; fs.closeSync(fs.openSync("/dev/null"));';
  const { problem, hangs } = run([process.execPath, "-e", program], {
    ...process.env,
    ...preloadEnvironment,
  });
  return problem ?? (hangs ? undefined : "no LD_PRELOAD");
}

/** Runs a command. Calls that hang in it continue at once. */
function run([file, ...args], env = process.env) {
  const ended = openSync("/dev/null");
  const stdio = ["ignore", "pipe", "pipe", "pipe", ended];
  const { status, error, stderr, output } = spawnSync(file, args, { env, encoding: "utf8", stdio });
  closeSync(ended);
  if (status !== 0) return { problem: String(error ?? stderr).trim() };
  return { hangs: output[3].length > 0 };
}
