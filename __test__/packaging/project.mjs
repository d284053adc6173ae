// A user's project: an empty folder with the packages installed from their tarballs, offline and without scripts, and the
// programs of consumer/.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const consumer = fileURLToPath(new URL("consumer", import.meta.url));
const NPM_OPTIONS = ["--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
/** The variables that programs inherit: none that affects Node.js or the package. */
const KEPT = ["PATH", "HOME", "SystemRoot", "TEMP", "TMP", "TMPDIR"];

/** Makes the folder and installs the tarballs in it. */
export async function installProject(folder, tarballs) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  // npm on Windows is a script, which only a shell can start.
  const settings = { cwd: folder, shell: process.platform === "win32" };
  await run("npm", ["install", ...NPM_OPTIONS, ...tarballs], settings);
  cpSync(consumer, folder, { recursive: true });
  return folder;
}

/** Runs a program in a folder; resolves with the JSON that it wrote. Fails if it wrote to its error output too. */
export async function runProgram(folder, options, { node = process.execPath, env = {} } = {}) {
  const { stdout, stderr } = await run(node, options, { cwd: folder, env: { ...environment(), ...env } });
  if (stderr !== "") throw new Error(`${options.join(" ")} wrote: ${stderr}`);
  return JSON.parse(stdout);
}

/** Runs a program that fails; resolves with its status and its error output. */
export async function runFailing(folder, options, { env = {} } = {}) {
  const settings = { cwd: folder, env: { ...environment(), ...env } };
  const { code, stderr } = await run(process.execPath, options, settings).catch((error) => error);
  return { code, stderr };
}

function environment() {
  return Object.fromEntries(
    KEPT.filter((name) => name in process.env).map((name) => [name, process.env[name]]),
  );
}
