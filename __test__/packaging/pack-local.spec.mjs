// The packages that `npm run pack:local` makes before the release: both tarballs install as README says, and work.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { runProgram } from "./project.mjs";

const run = promisify(execFile);
const script = fileURLToPath(new URL("../../scripts/pack-local.mjs", import.meta.url));
/** Acquires a token from the emulator, and prints what the add-on was loaded from. */
const PROGRAM = `
  const { ManagedIdentityApplication } = require("managed-identity-native");
  const { startEmulator } = require("managed-identity-native/emulator");
  startEmulator({ source: "app-service" }).then(async (endpoint) => {
    Object.assign(process.env, endpoint.env);
    const { tokenType } = await new ManagedIdentityApplication().acquireToken("https://vault.azure.net");
    const { sharedObjects } = process.report.getReport();
    console.log(JSON.stringify({ tokenType, addOns: sharedObjects.filter((path) => path.endsWith(".node")) }));
    await endpoint.close();
  });`;

let folder;
let output;

test.before(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "pack-local-")));
  ({ stdout: output } = await run(process.execPath, [script, join(folder, "packages")]));
});

test.after.always(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Makes an empty project in `name` and runs the printed command of npm there, with more options. */
async function installWithNpm(name, options) {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  const tarballs = /^ {2}npm install (.+)$/m.exec(output)[1].split(" ");
  const settings = { cwd: project, shell: process.platform === "win32" };
  const npm = ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=warn", ...options, ...tarballs];
  return { project, warnings: (await run("npm", npm, settings)).stderr };
}

for (const [name, options] of [
  ["npm install", []],
  ["npm install --install-links", ["--install-links"]],
]) {
  test(`${name} of both tarballs: without a warning, and tokens can be acquired`, async (t) => {
    const { project, warnings } = await installWithNpm(name.replaceAll(/\W+/g, "-"), options);
    t.is(warnings, "");
    const { tokenType, addOns } = await runProgram(project, ["-e", PROGRAM]);
    t.is(tokenType, "Bearer");
    t.is(addOns.length, 1);
    t.true(addOns[0].startsWith(join(project, "node_modules", "managed-identity-native-")));
  });
}

test("the output has a command for each package manager, with both tarballs", (t) => {
  for (const command of ["npm install", "pnpm add", "yarn add", "bun add"]) {
    const [, rest] = new RegExp(`^ {2}${command} (.+)$`, "m").exec(output);
    t.is(rest.split(" ").filter((path) => path.endsWith(".tgz")).length, 2, command);
  }
  t.true(output.startsWith(join(folder, "packages")));
});

test("npm run pack:local: the arguments are checked before anything is built", async (t) => {
  const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const [, ...args] = scripts["pack:local"].split(" ");
  const start = (...more) => run(process.execPath, [script, ...args.slice(1), ...more], { env: {} });
  const { stdout } = await start("--help");
  t.regex(stdout, /^Usage: npm run pack:local \[-- <folder>\]/);
  for (const [wrong, message] of [
    [["--folder"], /'--folder'/],
    [["a", "b"], /Only one folder/],
  ]) {
    const { code, stderr } = await t.throwsAsync(start(...wrong));
    t.is(code, 2);
    t.regex(stderr, message);
  }
});
