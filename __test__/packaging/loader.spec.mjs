// How the add-on is found, and the message if it is missing or may not be loaded: the package, the usual causes, and
// commands for this machine.

import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { findNeededFiles } from "./contents.mjs";
import { platformFolder, readManifest, root, skeletons } from "./packages.mjs";

const run = promisify(execFile);
const machine = fileURLToPath(new URL("machine.cjs", import.meta.url));
const whole = readManifest(root);
const platforms = skeletons(root).map((name) => readManifest(join(root, "npm", name)));
const own = platforms.find(({ name }) => name.endsWith(`-${platformFolder()}`));

/** Loads the package and prints the result, with the add-ons of the process and the programs that were started. */
const PROGRAM = `
  const report = (outcome) => console.log(JSON.stringify({ ...outcome, started: globalThis.started }));
  const failed = ({ message, code, cause }) => report({ message, code, cause: cause?.message });
  const loaded = ({ version }) => report({
    version,
    addOns: process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node")),
    planted: globalThis.planted,
  });`;
const REQUIRE = `${PROGRAM}
  let native;
  try { native = require("managed-identity-native"); } catch (error) { failed(error); }
  if (native !== undefined) loaded(native);`;
const IMPORT = `${PROGRAM}
  import("managed-identity-native").then(loaded, failed);`;

/** Creates a project with the published package and with platform packages, whose add-ons are given by name. */
function project(t, { addOns = {}, isClone = false } = {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "loader-")));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const modules = join(folder, "node_modules");
  const to = join(modules, whole.name);
  for (const file of findNeededFiles({ source: root, manifest: whole }).filter((path) =>
    /\.m?js$/.test(path),
  )) {
    mkdirSync(dirname(join(to, file)), { recursive: true });
    copyFileSync(join(root, file), join(to, file));
  }
  const optionalDependencies = Object.fromEntries(platforms.map(({ name, version }) => [name, version]));
  writeFileSync(join(to, "package.json"), JSON.stringify({ ...whole, optionalDependencies }));
  if (isClone) writeFileSync(join(to, "Cargo.toml"), "");
  for (const { name, main } of platforms.filter(({ name }) => name in addOns)) {
    mkdirSync(join(modules, name));
    writeFileSync(join(modules, name, "package.json"), JSON.stringify({ name, main }));
    if (addOns[name] === "built") copyFileSync(join(root, main), join(modules, name, main));
    else writeFileSync(join(modules, name, main), addOns[name]);
  }
  return folder;
}

/** Adds a package that is JavaScript in place of an add-on. */
function writePackage(folder, name, code) {
  const path = join(folder, "node_modules", name);
  mkdirSync(path);
  writeFileSync(join(path, "index.js"), code);
}

async function load(folder, { as = "", program = REQUIRE, env = {} } = {}) {
  const options = ["--require", machine, "-e", program];
  const { PATH, SystemRoot } = process.env;
  const settings = { cwd: folder, env: { PATH, SystemRoot, MACHINE: as, ...env } };
  const { stdout } = await run(process.execPath, options, settings);
  return JSON.parse(stdout);
}

/** Returns the arguments of the `npm install` commands in a message. */
function commands(message) {
  return [...message.matchAll(/npm install(?: (.*))?$/gm)].map(([, options]) => options ?? "");
}

for (const { name, version, os, cpu, libc = [] } of platforms) {
  test(`without ${name}, the message says how to install it`, async (t) => {
    const { message, code, cause, started } = await load(project(t), {
      as: [...os, ...cpu, ...libc].join(" "),
    });
    const [first] = message.split("\n");
    t.true(first.includes(name) && first.includes("is not installed"), first);
    const target = [`--os=${os}`, `--cpu=${cpu}`, ...libc.map((library) => `--libc=${library}`)].join(" ");
    t.deepEqual(commands(message), ["", "--include=optional", target, `--no-save ${name}@${version}`]);
    t.true(message.includes("https://github.com/npm/cli/issues/4828"));
    const others = platforms.filter((other) => other.name !== name);
    t.deepEqual(
      others.filter((other) => message.includes(other.name)),
      [],
    );
    t.is(code, "MODULE_NOT_FOUND");
    t.true(cause.includes(name));
    t.deepEqual(started, []);
  });
}

for (const as of ["freebsd x64", "linux ia32 glibc", "win32 ia32", "sunos x64"]) {
  test(`on ${as} the message says that the machine is not supported`, async (t) => {
    const { message } = await load(project(t), { as });
    t.true(message.includes(`no add-on for this machine (${as})`), message);
    t.deepEqual(
      platforms.filter(({ name }) => !message.includes(name)),
      [],
    );
    t.deepEqual(commands(message), []);
  });
}

test("an add-on that cannot be loaded is reported with the linker's message, not as missing", async (t) => {
  const folder = project(t, { addOns: { [own.name]: "no shared object" } });
  const { message, code, cause } = await load(folder);
  const [first] = message.split("\n");
  t.true(first.includes(own.name) && first.includes("is installed, but cannot be used"), first);
  t.is(code, "ERR_DLOPEN_FAILED");
  t.true(first.includes(cause.split("\n")[0]));
});

/** Node.js's name of the option, which changed in version 23.5. */
const PERMISSION = process.allowedNodeEnvironmentFlags.has("--permission")
  ? "--permission"
  : "--experimental-permission";
/** For each reason: how the program is started, the code of the error, and the remedy. */
const FORBIDDEN = {
  "--permission": {
    options: [PERMISSION, "--allow-fs-read=*", "--no-warnings"],
    code: "ERR_DLOPEN_DISABLED",
    remedy: "--allow-addons",
  },
  "--no-addons": { options: ["--no-addons"], code: "ERR_DLOPEN_DISABLED", remedy: "without that option" },
};

for (const [reason, { options, code, remedy }] of Object.entries(FORBIDDEN)) {
  test(`an add-on forbidden by ${reason} has that remedy only`, async (t) => {
    const folder = project(t, { addOns: { [own.name]: "built" } });
    const settings = { cwd: folder, env: { PATH: process.env.PATH } };
    const { stdout } = await run(process.execPath, [...options, "-e", REQUIRE], settings);
    const outcome = JSON.parse(stdout);
    t.is(outcome.code, code);
    t.true(outcome.message.includes(own.name) && outcome.message.includes("cannot be used"), outcome.message);
    t.true(outcome.message.includes(remedy), outcome.message);
    t.deepEqual(commands(outcome.message), []);
  });
}

test("an add-on on a noexec file system has that remedy only", async (t) => {
  const folder = project(t, { addOns: { [own.name]: "built" } });
  const addon = join(folder, "node_modules", own.name);
  const script = `mount --bind ${addon} ${addon} && mount -o remount,bind,noexec ${addon} && exec "$@"`;
  const command = ["--map-root-user", "--mount", "sh", "-c", script, "sh"];
  const settings = { cwd: folder, env: { PATH: process.env.PATH } };
  const tried = await run("unshare", [...command, "true"]).catch((error) => error);
  if (tried.stdout === undefined || tried.code !== undefined) {
    t.log(`no mount namespace: ${tried.message}`);
    t.pass();
    return;
  }
  const { stdout } = await run("unshare", [...command, process.execPath, "-e", REQUIRE], settings);
  const { code, message } = JSON.parse(stdout);
  t.is(code, "ERR_DLOPEN_FAILED");
  t.true(message.includes("noexec"), message);
  t.deepEqual(commands(message), []);
});

test("an add-on that needs a newer C library has that remedy only", async (t) => {
  const folder = project(t);
  const reason = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.17' not found (required by it)";
  const fault = `throw Object.assign(new Error(${JSON.stringify(`${reason}\nmore`)}), { code: "ERR_DLOPEN_FAILED" });`;
  writePackage(folder, own.name, fault);
  const { message, code, cause } = await load(folder);
  const [first] = message.split("\n");
  t.true(first.endsWith(`is installed, but cannot be used: ${reason}.`), first);
  t.regex(message, /C library of this system is older than the one that the add-on needs \(glibc 2\.17\)\./);
  t.deepEqual(commands(message), []);
  t.is(code, "ERR_DLOPEN_FAILED");
  t.true(cause.startsWith(reason));
});

test("a lock file of another system, which leaves out the platform package: that cause is the first", async (t) => {
  const [here, other] = ["linux-x64-gnu", "darwin-arm64"].map((name) => `${whole.name}-${name}`);
  const folder = project(t, { addOns: { [other]: "an add-on of another system" } });
  const { message, code } = await load(folder, { as: "linux x64 glibc" });
  const [first, , , cause, ...rest] = message.split("\n");
  t.true(first.includes(here) && first.endsWith("is not installed."), first);
  t.is(cause, "- npm left it out, as it does when package-lock.json was written on another system");
  t.regex(rest[0], /Remove node_modules and package-lock\.json, then: npm install$/);
  t.false(message.includes(other));
  t.is(code, "MODULE_NOT_FOUND");
});

test("the command line prints the message and the remedy without a stack, and exits with 1", async (t) => {
  const folder = project(t);
  const { message } = await load(folder);
  const main = join(folder, "node_modules", whole.name, whole.bin[whole.name]);
  const settings = { cwd: folder, env: { PATH: process.env.PATH } };
  for (const args of [["doctor"], ["doctor", "--json"], ["token", "--resource", "https://a"], ["emulator"]]) {
    const { code, stdout, stderr } = await run(process.execPath, [main, ...args], settings).catch(
      (error) => error,
    );
    t.deepEqual({ code, stdout, stderr }, { code: 1, stdout: "", stderr: `${message}\n` }, args.join(" "));
  }
  const { stdout } = await run(process.execPath, [main, "version"], settings);
  t.is(stdout, `${whole.version}\n`);
});

test("a package of another version is rejected, naming both versions", async (t) => {
  const folder = project(t);
  writePackage(folder, own.name, 'module.exports.version = () => "0.0.7";');
  const { message, cause } = await load(folder);
  const [first] = message.split("\n");
  t.true(first.includes(own.name) && first.includes("0.0.7") && first.includes(whole.version), first);
  t.true(commands(message).includes(`--no-save ${own.name}@${whole.version}`));
  t.true(cause.includes("0.0.7"));
});

test("the JavaScript, the package and the add-on have the same version", async (t) => {
  const folder = project(t, { addOns: { [own.name]: "built" } });
  t.is((await load(folder)).version, whole.version);
});

test("import fails as require does", async (t) => {
  const folder = project(t);
  const required = await load(folder);
  const imported = await load(folder, { program: IMPORT });
  for (const field of ["message", "code", "started"]) t.deepEqual(imported[field], required[field]);
});

test("a clone that is not built says how to build it", async (t) => {
  const { message } = await load(project(t, { isClone: true }));
  t.true(message.includes("npm run build"), message);
});

test("the platform package is loaded, and no program is started", async (t) => {
  const folder = project(t, { addOns: { [own.name]: "built" } });
  const expected = {
    version: whole.version,
    addOns: [join(folder, "node_modules", own.name, own.main)],
    started: [],
  };
  t.deepEqual(await load(folder), expected);
  t.deepEqual(await load(folder, { program: IMPORT }), expected);
});

test("NAPI_RS_NATIVE_LIBRARY_PATH leads elsewhere only where the platform package is missing", async (t) => {
  const planted =
    'globalThis.planted = true; module.exports = { generation: () => 0, version: () => "planted", CompletionChannel: class {} };';
  for (const [addOns, version] of [
    [{ [own.name]: "built" }, whole.version],
    [{}, "planted"],
  ]) {
    const folder = project(t, { addOns });
    const path = join(folder, "planted.cjs");
    writeFileSync(path, planted);
    const outcome = await load(folder, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: path } });
    t.is(outcome.version, version);
    t.is(outcome.planted, version === "planted" ? true : undefined);
  }
});
