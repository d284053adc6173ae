// Installs the development dependencies of package-lock.json, unless they are installed already. `npm run demo` and
// `npm test` begin with it, so that both work in a fresh clone and cost nothing extra in a second run. With --check it
// installs nothing, and fails in one line if something is missing: `npm run build` begins with that.
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;
const isCheck = process.argv.includes("--check");
const root = fileURLToPath(new URL("..", import.meta.url));

function run(command, options, stdio) {
  // On Windows npm is a script, which only a shell can start.
  return spawnSync(command, options, { cwd: root, shell: process.platform === "win32", stdio }).status ?? 1;
}

function modifiedAt(file) {
  return statSync(new URL(`../${file}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function pinnedToolchain() {
  const text = readFileSync(new URL("../rust-toolchain.toml", import.meta.url), "utf8");
  return text.match(/^channel = "(.+)"$/m)[1];
}

if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  console.error(`Node.js ${OLDEST_NODE} or later is needed; this is ${process.version}.`);
  process.exitCode = 1;
} else if (run("rustup", ["--version"], "ignore") === 0 && run("cargo", ["--version"], "ignore") !== 0) {
  console.error(
    `rustup does not have Rust ${pinnedToolchain()}, which rust-toolchain.toml names. Run \`rustup toolchain install\`, ` +
      "or set RUSTUP_TOOLCHAIN=stable to build with your own Rust, 1.91 or later.",
  );
  process.exitCode = 1;
} else if (run("cargo", ["--version"], "ignore") !== 0) {
  console.error("Rust is needed to build the add-on, and cargo was not found: see https://rustup.rs.");
  process.exitCode = 1;
} else if (isCheck) {
  if (modifiedAt("node_modules/.package-lock.json") === 0) {
    console.error("The development dependencies are not installed: run npm install.");
    process.exitCode = 1;
  }
} else if (modifiedAt("node_modules/.package-lock.json") < modifiedAt("package-lock.json")) {
  console.error("Installing the development dependencies, which takes a minute or two.");
  // npm writes that file at the end of an installation.
  process.exitCode = run(
    "npm",
    ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    "inherit",
  );
}
