// The files in docker/, as far as they can be tested without containers: what they refer to exists, and the commands
// run. The images themselves are not built here.

import { execFile } from "node:child_process";
import { once } from "node:events";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { load } from "js-yaml";
import { testWith } from "./support/capabilities.mjs";
import { run as runCommandLine, startCommand } from "./support/command-line.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const docker = join(root, "docker");
const read = (...path) => readFileSync(join(root, ...path), "utf8");
const compose = load(read("docker", "compose", "compose.yaml"), { filename: "compose.yaml" });
const dockerfile = read("docker", "Dockerfile");
const feature = JSON.parse(read("docker", "devcontainer-feature", "devcontainer-feature.json"));
const shellTest = testWith(test, "sh");

/** The instruction of this name, as the list that it has. */
function listOf(instruction) {
  return JSON.parse(new RegExp(`^${instruction} (\\[.+\\])$`, "m").exec(dockerfile)[1]);
}

test("the Dockerfile has the versions of rust-toolchain.toml and .node-version", (t) => {
  const [, rust] = /^channel = "(.+)"$/m.exec(read("rust-toolchain.toml"));
  t.regex(dockerfile, new RegExp(`^ARG RUST=${rust.replaceAll(".", "\\.")}$`, "m"));
  t.regex(dockerfile, new RegExp(`^ARG NODE=${read(".node-version").trim()}$`, "m"));
});

test("the compose file refers to targets, folders and services that exist", (t) => {
  for (const [name, { build, depends_on: needs = {} }] of Object.entries(compose.services)) {
    const context = join(docker, "compose", typeof build === "string" ? build : build.context);
    t.true(existsSync(join(context, build.dockerfile ?? "Dockerfile")), name);
    if (build.target !== undefined) t.regex(dockerfile, new RegExp(`^FROM \\w+ AS ${build.target}$`, "m"));
    for (const needed of Object.keys(needs)) t.true(needed in compose.services, needed);
  }
});

test("the services of the compose file have the emulator's address and secret, and it accepts that name", (t) => {
  const { command } = compose.services.identity;
  const option = (name) => command[command.indexOf(name) + 1];
  for (const name of ["node-service", "python-service"]) {
    const { IDENTITY_ENDPOINT, IDENTITY_HEADER } = compose.services[name].environment;
    t.is(new URL(IDENTITY_ENDPOINT).host, option("--allowed-host"));
    t.is(IDENTITY_HEADER, option("--secret"));
  }
  t.is(option("--allowed-host"), `identity:${listOf("ENTRYPOINT").at(-1)}`);
});

test("the emulator has every option that the images, the compose file and the feature use", async (t) => {
  const { stdout } = await runCommandLine(t, ["emulator", "--help"]);
  const script = read("docker", "devcontainer-feature", "install.sh");
  const used = [...listOf("ENTRYPOINT"), ...compose.services.identity.command, ...script.split(/\s/)];
  const ofNpm = ["--prefix", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
  for (const name of used.filter((word) => word.startsWith("--") && !ofNpm.includes(word))) {
    t.true(stdout.includes(name), name);
  }
});

testWith(test, "signals")("the service in Node.js acquires tokens, and ends on SIGTERM", async (t) => {
  const endpoint = await startEndpoint(t);
  const env = { ...endpoint.env, RESOURCE: "https://vault.azure.net", PORT: "0" };
  const program = join(docker, "compose", "node-service", "server.mjs");
  const { child, ended, waitForOutput } = startCommand(t, [process.execPath, program], { env });
  const [, port] = await waitForOutput(/listening on (\d+)/);
  const response = await fetch(`http://127.0.0.1:${port}/`);
  const body = await response.json();
  t.like(body, { client: "managed-identity-native", aud: env.RESOURCE, fromCache: false });
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
  t.like(await ended, { code: 0, signal: null, stderr: "" });
});

test("the feature's variables and start script name the same port and secret", (t) => {
  const { IDENTITY_ENDPOINT, IDENTITY_HEADER } = feature.containerEnv;
  const script = read("docker", "devcontainer-feature", "install.sh");
  t.regex(script, new RegExp(`--port ${new URL(IDENTITY_ENDPOINT).port} --secret ${IDENTITY_HEADER} `));
  t.is(feature.version, JSON.parse(read("package.json")).version);
});

shellTest("the feature installs the tarballs beside its script, without a network", async (t) => {
  t.timeout(120_000);
  const folder = mkdtempSync(join(tmpdir(), "feature-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const script = join(folder, "install.sh");
  await run(process.execPath, [join(root, "scripts", "pack-local.mjs"), folder]);
  copyFileSync(join(docker, "devcontainer-feature", "install.sh"), script);
  const installed = join(folder, "installed");
  mkdirSync(installed);
  const env = { ...process.env, MANAGED_IDENTITY_EMULATOR_FOLDER: installed, npm_config_offline: "true" };
  await run("sh", [script], { env: { ...env, VERSION: feature.options.version.default } });

  const start = join(installed, "start.sh");
  accessSync(start, constants.X_OK);
  await run("sh", ["-n", start]);
  const [, cli] = /^node "(.+?)" emulator/m.exec(readFileSync(start, "utf8"));
  const { stdout } = await run(process.execPath, [cli, "--version"]);
  t.is(stdout.trim(), feature.version);
});

shellTest("without tarballs, the feature downloads nothing and says where to get them", async (t) => {
  const script = join(docker, "devcontainer-feature", "install.sh");
  const env = { ...process.env, VERSION: feature.options.version.default, npm_config_offline: "true" };
  const { code, stderr } = await run("sh", [script], { env }).catch((error) => error);
  t.is(code, 1);
  t.regex(stderr, /npm run pack:local/);
});

shellTest("without Node.js the feature says which feature to add", async (t) => {
  const script = join(docker, "devcontainer-feature", "install.sh");
  const { code, stderr } = await run("/bin/sh", [script], { env: { PATH: "/nowhere" } }).catch(
    (error) => error,
  );
  t.is(code, 1);
  t.regex(stderr, /ghcr\.io\/devcontainers\/features\/node/);
});
