// Installs the release's packages by name, as users do, from a registry on loopback: with npm, pnpm, yarn, Bun and Deno,
// and every supported version of Node.js. The platform package of the machine must be chosen, no other may be downloaded,
// and the package must load. `npm run check:installation`; the add-on must have been built.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { installNodes, nodes } from "../../__test__/packaging/nodes.mjs";
import { packReleased, platformFolder, skeletons } from "../../__test__/packaging/packages.mjs";
import { startRegistry } from "./registry.mjs";
import { executables, installTools, scripts } from "./tools.mjs";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const NAME = "managed-identity-native";
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

await installTools();
// scripts/platforms needs them in a root directory without a network.
if (process.argv.includes("--tools-only")) process.exit();
const directory = mkdtempSync(join(tmpdir(), "check-installation-"));
let failures = 0;
let registry;
try {
  await installNodes();
  registry = await startRegistry(join(directory, "registry"));
  const platforms = await publish();
  for (const node of nodes) {
    for (const manager of managersFor(node)) {
      await check(`${manager.name}, ${node.name}`, () => installAndLoad(manager, node));
    }
  }
  for (const platform of platforms) {
    await check(`npm for ${platform}`, () => installFor(platform));
  }
  await check("a lock file of another system", explainForeignLockFile);
} finally {
  await registry?.close();
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
console.log(failures === 0 ? "all installations are right" : `${failures} failed`);

async function check(title, body) {
  try {
    console.log(`ok     ${title}: ${await body()}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED ${title}: ${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
  }
}

function expect(actual, expected, what) {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`);
}

/** Packs and publishes all packages, with stand-ins for the add-ons of other platforms; returns the platforms' names. */
async function publish() {
  const released = await packReleased(directory);
  const names = skeletons(released.package.source);
  const settings = [`--registry=${registry.url}`, `--//${new URL(registry.url).host}/:_authToken=any`];
  for (const source of [
    ...names.map((name) => join(released.package.source, "npm", name)),
    released.package.tarball,
  ]) {
    await run("npm", ["publish", source, "--ignore-scripts", "--access=public", ...settings], {
      cwd: directory,
    });
  }
  return names;
}

/** The package managers that a version of Node.js can run, and how each adds a package. */
function managersFor(node) {
  const bundled = join(dirname(node.executable), "..", "lib", "node_modules", "npm", "bin", "npm-cli.js");
  const major = Number.parseInt(node.version.slice(1), 10);
  // What runs without Node.js does the same for every version.
  const isLast = node === nodes.at(-1);
  const forAnyLibc = skeletons(root).filter((name) => name.startsWith(`${process.platform}-${process.arch}`));
  const npmOptions = [
    "install",
    `${NAME}@${version}`,
    "--no-audit",
    "--no-fund",
    `--registry=${registry.url}`,
  ];
  return [
    {
      name: "npm of Node.js",
      command: [node.executable, bundled],
      args: npmOptions,
      isThere: existsSync(bundled),
    },
    { name: "npm 11", command: [node.executable, scripts.npm], args: npmOptions, isThere: true },
    {
      name: "pnpm",
      command: [node.executable, scripts.pnpm],
      args: ["add", `${NAME}@${version}`, `--registry=${registry.url}`, "--store-dir=.pnpm-store"],
      isThere: major >= 22,
    },
    {
      // It downloads every optional dependency before it looks at their platforms, and has no rule for `libc`.
      downloads: skeletons(root),
      installs: forAnyLibc,
      name: "yarn 1",
      command: [node.executable, scripts.yarn1],
      args: ["add", `${NAME}@${version}`, `--registry=${registry.url}`, "--no-progress"],
      isThere: true,
    },
    {
      name: "yarn 4",
      command: [node.executable, scripts.yarn4],
      args: ["add", `${NAME}@${version}`],
      isThere: true,
    },
    {
      name: "bun",
      command: [executables.bun],
      args: ["add", `${NAME}@${version}`, `--registry=${registry.url}`],
      isThere: isLast && existsSync(executables.bun),
    },
    {
      // It has no rule for `libc` either.
      downloads: forAnyLibc,
      installs: forAnyLibc,
      name: "deno",
      command: [executables.deno],
      // It refuses what was published less than a day ago.
      args: ["add", `npm:${NAME}@${version}`, "--minimum-dependency-age=0"],
      isThere: isLast && executables.deno !== undefined && existsSync(executables.deno),
    },
  ].filter(({ isThere }) => isThere);
}

/** An empty project whose caches are its own, so that every download is seen. */
function newProject() {
  const project = mkdtempSync(join(directory, "project-"));
  writeFileSync(
    join(project, "package.json"),
    '{ "name": "project", "version": "1.0.0", "private": true }\n',
  );
  writeFileSync(
    join(project, ".yarnrc.yml"),
    [
      `npmRegistryServer: "${registry.url}"`,
      "unsafeHttpWhitelist: [127.0.0.1]",
      "nodeLinker: node-modules",
      `globalFolder: ${join(project, ".yarn-global")}`,
      "enableTelemetry: false",
      "npmMinimalAgeGate: 0",
    ].join("\n"),
  );
  writeFileSync(join(project, "yarn.lock"), "");
  return project;
}

function environmentOf(project, node) {
  return {
    ...process.env,
    CI: "",
    HOME: project,
    PATH: `${dirname(node.executable)}${delimiter}${process.env.PATH}`,
    BUN_INSTALL_CACHE_DIR: join(project, ".bun-cache"),
    DENO_DIR: join(project, ".deno"),
    DENO_NO_UPDATE_CHECK: "1",
    NPM_CONFIG_REGISTRY: registry.url,
    YARN_CACHE_FOLDER: join(project, ".yarn-cache"),
    npm_config_cache: join(project, ".npm-cache"),
    npm_config_update_notifier: "false",
  };
}

async function installAndLoad(manager, node) {
  const { command, args, downloads = [platformFolder()], installs = [platformFolder()] } = manager;
  const project = newProject();
  const env = environmentOf(project, node);
  registry.downloads.length = 0;
  const [file, ...options] = [...command, ...args];
  await run(file, options, { cwd: project, env });
  expectDownloads(downloads);
  const installed = readdirSync(join(project, "node_modules")).filter((name) => name.startsWith(`${NAME}-`));
  // pnpm keeps dependencies of dependencies in a folder of its own.
  const expected = installs.map((name) => `${NAME}-${name}`);
  if (installed.length > 0) expect(installed.sort(), expected.sort(), "installed");
  const load = `const { ManagedIdentityApplication, version } = require("${NAME}");
    console.log(new ManagedIdentityApplication().getManagedIdentitySource() + " " + version);`;
  const { stdout } = await run(node.executable, ["-e", load], { cwd: project, env });
  expect(stdout.trim(), `DefaultToImds ${version}`, "the loaded package prints");
  return "loads";
}

/** No tarball may be downloaded except the package's and these platforms'. */
function expectDownloads(platforms) {
  const expected = [`${NAME}-${version}.tgz`, ...platforms.map((name) => `${NAME}-${name}-${version}.tgz`)];
  expect([...new Set(registry.downloads)].sort(), expected.sort(), "downloads");
}

/** npm for another platform: as in a build of an image for it. */
async function installFor(platform) {
  const [os, cpu, libc] = platform.split("-");
  const project = newProject();
  const library = os === "linux" ? [`--libc=${libc === "gnu" ? "glibc" : libc}`] : [];
  registry.downloads.length = 0;
  await run(
    process.execPath,
    [
      scripts.npm,
      "install",
      `${NAME}@${version}`,
      `--os=${os}`,
      `--cpu=${cpu}`,
      ...library,
      `--registry=${registry.url}`,
    ],
    { cwd: project, env: environmentOf(project, { executable: process.execPath }) },
  );
  expectDownloads([platform]);
  const installed = readdirSync(join(project, "node_modules")).filter((name) => name.startsWith(`${NAME}-`));
  expect(installed, [`${NAME}-${platform}`], "installed");
  return "only its package is downloaded";
}

/**
 * A lock file that names the package of another system only (https://github.com/npm/cli/issues/4828): npm 11 repairs it, or
 * refuses it with `npm ci`. Its node_modules, copied to this machine, fail with the remedy.
 */
async function explainForeignLockFile() {
  const project = newProject();
  const npm = [scripts.npm];
  const options = { cwd: project, env: environmentOf(project, { executable: process.execPath }) };
  // Under `npm run --silent` npm inherits a log level that hides its errors.
  const settings = [`--registry=${registry.url}`, "--no-audit", "--no-fund", "--loglevel=warn"];
  const other = platformFolder() === "darwin-arm64" ? "linux-x64-gnu" : "darwin-arm64";
  const [os, cpu] = other.split("-");
  const install = [...npm, "install", `${NAME}@${version}`, `--os=${os}`, `--cpu=${cpu}`, ...settings];
  await run(process.execPath, install, options);
  const { stderr } = await run(process.execPath, ["-e", `require("${NAME}")`], options).catch(
    (error) => error,
  );
  for (const part of [
    `${NAME}-${platformFolder()}, its package for this machine`,
    "Remove node_modules and package-lock.json, then: npm install",
  ]) {
    if (!stderr.includes(part)) throw new Error(`the message lacks "${part}": ${stderr}`);
  }
  const file = join(project, "package-lock.json");
  const lock = JSON.parse(readFileSync(file, "utf8"));
  for (const path of Object.keys(lock.packages)) {
    if (path.includes(`${NAME}-`) && !path.endsWith(other)) delete lock.packages[path];
  }
  writeFileSync(file, JSON.stringify(lock));
  rmSync(join(project, "node_modules"), { recursive: true });
  const refused = await run(process.execPath, [...npm, "ci", ...settings], options).catch((error) => error);
  if (!refused.stderr.includes(`Missing: ${NAME}-${platformFolder()}@${version} from lock file`)) {
    throw new Error(`npm ci accepts it: ${refused.stderr}`);
  }
  await run(process.execPath, [...npm, "install", ...settings], options);
  await run(process.execPath, ["-e", `require("${NAME}")`], options);
  return "npm ci refuses it, npm install repairs it, and the message of a package without its add-on has the remedy";
}
