// Packs this package and the platform package of this machine into a folder, so that a project can install both before
// they are published: npm run pack:local [-- <folder>]. The default is target/packages. With --build it first installs the
// development dependencies and builds.
//
// A published package lists its platform packages as optional dependencies, which package managers look for in their
// registry. Here the platform package is an optional peer dependency instead: the project installs it from its tarball.
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const USAGE = `Usage: npm run pack:local [-- <folder>]

Builds, and packs this package and the add-on of this machine into the folder, by default target/packages.`;

const root = fileURLToPath(new URL("..", import.meta.url));
const { help, build, folders } = readArguments();
if (help) {
  console.log(USAGE);
  process.exit(0);
}
const folder = resolve(folders[0] ?? join(root, "target", "packages"));
if (build) {
  runScript("setup");
  runScript("build");
}

const manifest = readManifest(root);
const platformFolder = join(root, "npm", platformName());
const platform = existsSync(platformFolder) ? readManifest(platformFolder) : undefined;
const entryPoints = [manifest.main, ...Object.values(manifest.bin)];

if (platform === undefined) {
  fail(`There is no platform package for this machine (${platformName()}).`);
} else if (![platform.main, ...entryPoints].every((path) => existsSync(join(root, path)))) {
  fail("The package is not built: run npm run build.");
} else {
  packBoth();
}

function packBoth() {
  const stage = join(folder, "stage");
  mkdirSync(folder, { recursive: true });

  const main = join(stage, manifest.name);
  const { devDependencies, overrides, scripts, ...published } = manifest;
  for (const path of manifest.files) cpSync(join(root, path), join(main, path), { recursive: true });
  writeManifest(main, {
    ...published,
    // Any version: pnpm compares this with the path of the tarball. The loader compares the versions.
    peerDependencies: { [platform.name]: "*" },
    peerDependenciesMeta: { [platform.name]: { optional: true } },
  });

  const addOn = join(stage, platform.name);
  cpSync(platformFolder, addOn, { recursive: true });
  copyFileSync(join(root, platform.main), join(addOn, platform.main));
  copyFileSync(join(root, "LICENSE"), join(addOn, "LICENSE"));

  const tarballs = [pack(main), pack(addOn)];
  rmSync(stage, { recursive: true });
  const paths = tarballs.map((name) => join(folder, name));
  console.log(`${paths.join("\n")}\n
Install both, in the folder of your project, with one of
  npm install ${paths.join(" ")}
  pnpm add ${paths.join(" ")}
  yarn add ${tarballs.map(yarnDependency).join(" ")}
  bun add ${paths.join(" ")}`);
}

/** Ends the process if the arguments are wrong, before anything is built. */
function readArguments() {
  const options = { help: { type: "boolean", short: "h" }, build: { type: "boolean" } };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (positionals.length > 1) throw new Error("Only one folder can be given.");
    return { ...values, folders: positionals };
  } catch (error) {
    console.error(`pack-local: ${error.message}\n\n${USAGE}`);
    return process.exit(2);
  }
}

/** Runs a script of package.json, and ends the process if it fails. */
function runScript(name) {
  const settings = { cwd: root, stdio: "inherit", shell: process.platform === "win32" };
  const { status } = spawnSync("npm", ["run", "--silent", name], settings);
  if (status !== 0) process.exit(status ?? 1);
}

/** Packs a folder and returns the name of the tarball. */
function pack(source) {
  const options = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  // npm on Windows is a script, which only a shell can start.
  const settings = { cwd: source, encoding: "utf8", shell: process.platform === "win32" };
  const { status, stdout, stderr } = spawnSync("npm", options, settings);
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  // npm 11 writes a list, npm 12 an object by name.
  const [{ filename }] = Object.values(JSON.parse(stdout));
  return filename;
}

/** Yarn needs the name of the package and the protocol; the first version of Yarn accepts both too. */
function yarnDependency(tarball, index) {
  return `${[manifest, platform][index].name}@file:${join(folder, tarball)}`;
}

/** The name of the folder below npm/ for this machine. */
function platformName() {
  const { platform: system, arch } = process;
  if (system === "win32") return `win32-${arch}-msvc`;
  if (system !== "linux") return `${system}-${arch}`;
  const { glibcVersionRuntime } = process.report.getReport().header;
  return `linux-${arch}-${glibcVersionRuntime === undefined ? "musl" : "gnu"}`;
}

function readManifest(of) {
  return JSON.parse(readFileSync(join(of, "package.json"), "utf8"));
}

function writeManifest(to, content) {
  mkdirSync(dirname(join(to, "package.json")), { recursive: true });
  writeFileSync(join(to, "package.json"), `${JSON.stringify(content, undefined, 2)}\n`);
}

function fail(message) {
  console.error(`pack-local: ${message}`);
  process.exitCode = 1;
}
