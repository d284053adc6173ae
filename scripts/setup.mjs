// Installs the development dependencies that package-lock.json names, unless they are there already: what a fresh
// clone lacks, and what costs a contributor's second run nothing. Called by `npm run demo` and `npm test`.
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;
const root = fileURLToPath(new URL("..", import.meta.url));

function run(command, options, stdio) {
  // On Windows npm is a script, which only a shell can start.
  return spawnSync(command, options, { cwd: root, shell: process.platform === "win32", stdio }).status ?? 1;
}

function changedAt(file) {
  return statSync(new URL(`../${file}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  console.error(`Node.js ${OLDEST_NODE} or later is needed; this is ${process.version}.`);
  process.exitCode = 1;
} else if (run("cargo", ["--version"], "ignore") !== 0) {
  console.error("Rust is needed to build the add-on, and cargo was not found: see https://rustup.rs.");
  process.exitCode = 1;
} else if (changedAt("node_modules/.package-lock.json") < changedAt("package-lock.json")) {
  // npm writes that file at the end of an installation.
  process.exitCode = run(
    "npm",
    ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    "inherit",
  );
}
