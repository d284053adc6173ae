// A small C library that, preloadEnvironment into a process, makes file operations hang.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("slow-files.c", import.meta.url));

const directory = mkdtempSync(join(tmpdir(), "slow-files-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

/** Environment variables that preload the library. The process sets SLOW_FILES and SLOW_SECONDS itself. */
export const preloadEnvironment = { LD_PRELOAD: join(directory, "slow-files.so") };

/** Compiles the library, and returns why it is unavailable on this machine; undefined if it is available. */
export function findSlowFilesProblem() {
  if (process.platform !== "linux") return "LD_PRELOAD: Linux only";
  const compiled = run("gcc", [
    "-shared",
    "-fPIC",
    "-O1",
    "-o",
    preloadEnvironment.LD_PRELOAD,
    SOURCE,
    "-ldl",
  ]);
  if (compiled !== undefined) return `no library: ${compiled}`;
  const program = `
    process.env.SLOW_FILES = "/dev/null";
    process.env.SLOW_SECONDS = "1";
    const began = Date.now();
    require("node:fs").closeSync(require("node:fs").openSync("/dev/null"));
    if (Date.now() - began < 900) throw new Error("not slow");
  `;
  const preloadedProgram = run(process.execPath, ["-e", program], { ...process.env, ...preloadEnvironment });
  return preloadedProgram === undefined ? undefined : `no LD_PRELOAD: ${preloadedProgram}`;
}

function run(file, args, env = process.env) {
  const { status, error, stderr } = spawnSync(file, args, { env, encoding: "utf8" });
  return status === 0 ? undefined : String(error ?? stderr).trim();
}
