// The way of a new user, from an empty folder: clone, install, build and pack this package, install the tarballs in a
// project with each package manager, compile a TypeScript service that uses Azure Storage, and run it with an emulated
// identity against Azurite. It needs the npm registry, git and Rust; part of `npm run ci:full`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { executables, installTools, scripts } from "../../scripts/check-installation/tools.mjs";
import { installNodes, nodes } from "../packaging/nodes.mjs";
import { readManifest, root } from "../packaging/packages.mjs";
import { run, runToEnd } from "./commands.mjs";
import { startRegistryOnly } from "./registry-only.mjs";

/** The packages beside ours that the service needs. */
const DEPENDENCIES = ["@azure/storage-blob"];
const DEV_DEPENDENCIES = ["@types/node", "typescript"];
/** The oldest major version of Node.js that the dependencies of the Azure SDK declare; Yarn 1 refuses to install them for another. */
const OLDEST_NODE_OF_AZURE_SDK = 22;
/** A download of all development dependencies, and an optimised build of the add-on with all its dependencies. */
const INSTALL_MINUTES = 15;
const BUILD_MINUTES = 25;

const service = fileURLToPath(new URL("service", import.meta.url));
const EMULATOR = ["npx", "--no", "managed-identity-native", "emulator"];

let directory;
let azurite;
let registry;
/** The certificates that npm trusts, if its settings name a file; other package managers do not read the setting. */
let extraCertificates = {};
/** Node.js for the projects. */
let node;
/** What `npm run pack:local` printed. */
let instructions;

before(
  async () => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), "journey-")));
    await installTools();
    node = await chooseNode();
    const clone = join(directory, "clone");
    await run(["git", "clone", "--quiet", root, clone], { cwd: directory });
    const settingOfNpm = async (name) =>
      (await run(["npm", "config", "get", name], { cwd: clone })).stdout.trim();
    registry = await settingOfNpm("registry");
    const certificates = await settingOfNpm("cafile");
    if (certificates !== "null") extraCertificates = { NODE_EXTRA_CA_CERTS: certificates };
    instructions = await buildAndPack(clone);
    // After commands.mjs, which keeps the environment that this import changes.
    const { startAzurite } = await import("../support/azurite.mjs");
    azurite = await startAzurite();
  },
  { timeout: (INSTALL_MINUTES + BUILD_MINUTES + 10) * 60_000 },
);

after(async () => {
  await azurite?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The tests' own Node.js if it is new enough, else the first of the others that is. */
async function chooseNode() {
  const isNewEnough = (version) => Number.parseInt(version.slice(1), 10) >= OLDEST_NODE_OF_AZURE_SDK;
  if (isNewEnough(process.version)) return process.execPath;
  await installNodes();
  const found = nodes.find(({ version }) => isNewEnough(version));
  assert.ok(found, `the Azure SDK needs Node.js ${OLDEST_NODE_OF_AZURE_SDK}`);
  return found.executable;
}

/** Runs README's commands in the clone, which then have no network except the registry's; returns what the last prints. */
async function buildAndPack(clone) {
  const minutes = BUILD_MINUTES;
  // What npm 11 and later block; earlier versions run the scripts of all packages.
  const env = { npm_config_dangerously_allow_all_scripts: "true" };
  await run(["cargo", "fetch", "--quiet", "--locked"], { cwd: clone, minutes });
  const network = await startRegistryOnly(directory, registry);
  try {
    const { prefix } = network;
    await run([...prefix, "npm", "ci"], { cwd: clone, env, minutes: INSTALL_MINUTES });
    await run([...prefix, "npm", "run", "build"], {
      cwd: clone,
      env: { CARGO_NET_OFFLINE: "true" },
      minutes,
    });
    const { stdout } = await run([...prefix, "npm", "run", "pack:local"], {
      cwd: clone,
      env: { CARGO_NET_OFFLINE: "true" },
      minutes,
    });
    assert.deepEqual(network.refused, [], "hosts besides the registry");
    return stdout;
  } finally {
    network.close();
  }
}

/** Makes a project with the service, and runs the command that `npm run pack:local` printed for this package manager. */
async function install({ name, documented, program, options = [], files = {} }) {
  const project = join(directory, name.replaceAll(/\W+/g, "-"));
  mkdirSync(project);
  cpSync(service, project, { recursive: true });
  const { devDependencies } = readManifest(root);
  const versions = (names) =>
    Object.fromEntries(names.map((dependency) => [dependency, devDependencies[dependency]]));
  const manifest = {
    name: "service",
    version: "1.0.0",
    private: true,
    type: "module",
    dependencies: versions(DEPENDENCIES),
    devDependencies: versions(DEV_DEPENDENCIES),
  };
  for (const [file, content] of Object.entries({ "package.json": JSON.stringify(manifest), ...files })) {
    writeFileSync(join(project, file), content);
  }
  const tarballs = new RegExp(`^ {2}${documented} (.+)$`, "m").exec(instructions)[1].split(" ");
  const [, subcommand] = documented.split(" ");
  await inProject(project, [...program, subcommand, ...options, ...tarballs]);
  await inProject(project, ["npx", "--no", "tsc"]);
  return project;
}

function inProject(project, command, env = {}) {
  return run(command, { cwd: project, env: { ...environmentOfProject(), ...env }, minutes: 10 });
}

function environmentOfProject() {
  return {
    ...extraCertificates,
    CI: "",
    PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
    // Yarn 4 does not read the settings of npm.
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_UNSAFE_HTTP_WHITELIST: new URL(registry).hostname,
    YARN_ENABLE_TELEMETRY: "0",
    YARN_GLOBAL_FOLDER: join(directory, "yarn-global"),
    YARN_CACHE_FOLDER: join(directory, "yarn-cache"),
  };
}

/** For the service only: these roots are in place of the machine's own, which package managers may need. */
function azuriteTrust() {
  return { NODE_EXTRA_CA_CERTS: azurite.caFile };
}

/** Runs the service under the emulator. The tenant of its token, which only this emulator has, shows who issued it. */
async function expectBlob(project, runtime, env = {}) {
  const [tenantId, content] = [randomUUID(), `Hello from ${project}`];
  const command = [
    ...EMULATOR,
    "--tenant-id",
    tenantId,
    "--",
    ...runtime,
    "dist/service.js",
    azurite.url,
    content,
  ];
  const { stdout } = await inProject(project, command, { ...azuriteTrust(), ...env });
  const { downloaded, requests, tenantId: ofToken } = JSON.parse(stdout);
  assert.equal(downloaded, content);
  assert.deepEqual(
    requests.map(({ statusCode }) => statusCode),
    [200],
    "one request for a token",
  );
  assert.match(requests[0].endpoint, /^http:\/\/127\.0\.0\.1:\d+\//);
  assert.equal(ofToken, tenantId);
}

const MANAGERS = [
  { name: "npm", documented: "npm install", program: ["npm"] },
  {
    name: "npm --install-links",
    documented: "npm install",
    program: ["npm"],
    options: ["--install-links"],
  },
  { name: "pnpm", documented: "pnpm add", script: scripts.pnpm },
  { name: "Yarn 1", documented: "yarn add", script: scripts.yarn1 },
  {
    name: "Yarn 4",
    documented: "yarn add",
    script: scripts.yarn4,
    files: { ".yarnrc.yml": "nodeLinker: node-modules\n", "yarn.lock": "" },
  },
  { name: "Bun", documented: "bun add", program: [executables.bun] },
];

for (const { script, program, ...manager } of MANAGERS) {
  test(`${manager.name} installs the tarballs, and the service stores a blob`, async () => {
    const project = await install({ ...manager, program: program ?? [node, script] });
    await expectBlob(project, ["node"]);
  });
}

test("without the emulator, the service does not get a token", async () => {
  const project = join(directory, "npm");
  const command = ["node", "dist/service.js", azurite.url, "Hello"];
  const env = { ...environmentOfProject(), ...azuriteTrust() };
  const { code, stdout, stderr } = await runToEnd(command, { cwd: project, env });
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /CredentialUnavailableError: managed_identity_unreachable_network/);
});

test("Deno runs the service, with the permissions of docs/hardened-runtimes.md and those of the Azure SDK", async () => {
  const permissions = ["--allow-ffi=node_modules", "--allow-read=node_modules", "--allow-env"];
  const ofAzureSdk = ["--allow-net=127.0.0.1", "--allow-sys=osRelease"];
  const project = join(directory, "npm");
  await expectBlob(project, [executables.deno, "run", ...permissions, ...ofAzureSdk], {
    DENO_CERT: azurite.caFile,
    DENO_NO_UPDATE_CHECK: "1",
    // With Node.js's variable, `node:https` of Deno asks for one more permission.
    NODE_EXTRA_CA_CERTS: undefined,
  });
});
