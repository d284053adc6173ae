// The package managers and the registry that installations are checked with, by the lock file beside this script. They
// are downloaded once into target/.

import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { platformFolder } from "../../__test__/packaging/packages.mjs";

const run = promisify(execFile);
const own = fileURLToPath(new URL(".", import.meta.url));
const FILES = ["package.json", "package-lock.json"];
/** Programs with a package for each platform, and their scripts, which put the program of that package in its place. */
const INSTALL_SCRIPTS = [
  { name: "bun", scope: "@oven", script: "install.js" },
  { name: "deno", scope: "@deno", script: "install.cjs" },
];
const isMusl = platformFolder().endsWith("-musl");
const exe = process.platform === "win32" ? ".exe" : "";

export const tools = fileURLToPath(new URL("../../target/check-installation", import.meta.url));

const inTools = (...path) => join(tools, "node_modules", ...path);

/** The programs that Node.js runs. */
export const scripts = {
  npm: inTools("npm", "bin", "npm-cli.js"),
  pnpm: inTools("pnpm", "bin", "pnpm.mjs"),
  yarn1: inTools("yarn", "bin", "yarn.js"),
  yarn4: inTools("@yarnpkg", "cli-dist", "bin", "yarn.js"),
};

/** The programs that run without Node.js; Deno does not exist for every platform. */
export const executables = isMusl
  ? // In the folder of its own package: scripts/platforms adds it to a folder that was made on a system with glibc.
    { bun: inTools("@oven", `bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}-musl`, "bin", "bun") }
  : {
      // Its name is the same on every system.
      bun: inTools("bun", "bin", "bun.exe"),
      deno: inTools("deno", `deno${exe}`),
    };

/** Downloads them, unless they are there already. */
export async function installTools() {
  const isCurrent = FILES.every(
    (file) =>
      existsSync(join(tools, file)) &&
      readFileSync(join(tools, file), "utf8") === readFileSync(join(own, file), "utf8"),
  );
  if (isCurrent && existsSync(inTools(".package-lock.json"))) return;
  mkdirSync(tools, { recursive: true });
  for (const file of FILES) cpSync(join(own, file), join(tools, file));
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: tools });
  for (const { name, scope, script } of INSTALL_SCRIPTS) {
    // Deno has no package for Linux with musl.
    if (existsSync(inTools(scope))) await run(process.execPath, [script], { cwd: inTools(name) });
  }
}
