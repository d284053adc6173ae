// Files that hang, for processes of their own: a small library in C that is preloaded into them.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("slow-files.c", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "slow-files-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** What a process must have in its environment from its start; it sets SLOW_FILES and SLOW_SECONDS by itself. */
export const preloaded = { LD_PRELOAD: join(folder, "slow-files.so") };

/** Why there can be no such files here; undefined when there can. */
export const skipReason = failure();

function failure() {
  if (process.platform !== "linux") return "LD_PRELOAD: Linux only";
  const compiled = run("gcc", ["-shared", "-fPIC", "-O1", "-o", preloaded.LD_PRELOAD, SOURCE, "-ldl"]);
  if (compiled !== undefined) return `no library: ${compiled}`;
  const program = `
    process.env.SLOW_FILES = "/dev/null";
    process.env.SLOW_SECONDS = "1";
    const began = Date.now();
    require("node:fs").closeSync(require("node:fs").openSync("/dev/null"));
    if (Date.now() - began < 900) throw new Error("not slow");
  `;
  const preloadedProgram = run(process.execPath, ["-e", program], { ...process.env, ...preloaded });
  return preloadedProgram === undefined ? undefined : `no LD_PRELOAD: ${preloadedProgram}`;
}

function run(file, args, env = process.env) {
  const { status, error, stderr } = spawnSync(file, args, { env, encoding: "utf8" });
  return status === 0 ? undefined : String(error ?? stderr).trim();
}
