// Next.js builds and runs a program that uses the packed package, as docs/bundlers.md says. Next.js is large, so
// `npm run test:next` installs it into target/next from the lock file beside this file, and `npm test` leaves it out.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { packReleased, platformFolder, root } from "../packages.mjs";
import { installProject } from "../project.mjs";

const run = promisify(execFile);
const { startEmulator } = createRequire(join(root, "package.json"))("managed-identity-native/emulator");
const here = fileURLToPath(new URL(".", import.meta.url));
const store = join(root, "target", "next");
const next = join("node_modules", "next", "dist", "bin", "next");
const FILES = ["package.json", "package-lock.json"];
const { PATH, HOME } = process.env;
const environment = { PATH, HOME, NEXT_TELEMETRY_DISABLED: "1" };

let folder;
let endpoint;

before(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "next-")));
  await installNext();
  const packed = await packReleased(folder);
  await installProject(join(folder, "project"), [packed.package.tarball, packed.platform.tarball]);
  endpoint = await startEmulator({ source: "app-service" });
});

after(async () => {
  await endpoint?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Downloads Next.js unless it is there already. */
async function installNext() {
  const same = (file) =>
    existsSync(join(store, file)) &&
    readFileSync(join(store, file), "utf8") === readFileSync(join(here, file), "utf8");
  if (FILES.every(same) && existsSync(join(store, next))) return;
  mkdirSync(store, { recursive: true });
  for (const file of FILES) copyFileSync(join(here, file), join(store, file));
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: store });
}

/** Builds the program in the folder that Next.js is installed in. */
async function build(options, env = {}) {
  rmSync(join(store, ".next"), { recursive: true, force: true });
  for (const name of ["managed-identity-native", `managed-identity-native-${platformFolder()}`]) {
    const installed = join("node_modules", name);
    cpSync(join(folder, "project", installed), join(store, installed), { recursive: true });
  }
  for (const path of ["app", "next.config.mjs"])
    cpSync(join(here, path), join(store, path), { recursive: true });
  const settings = { cwd: store, env: { ...environment, ...env } };
  const { stdout, stderr } = await run(process.execPath, [next, "build", ...options], settings);
  assert.doesNotMatch(`${stdout}${stderr}`, /warn|error/i);
}

/** Starts a server on a free port, requests a token twice, and returns the answers. */
async function request(command, cwd) {
  const server = spawn(process.execPath, command, {
    cwd,
    env: { ...environment, ...endpoint.env, PORT: "0", HOSTNAME: "127.0.0.1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await new Promise((resolve, reject) => {
      let text = "";
      server.stdout.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
        const found = /Local:\s+http:\/\/[^:]+:(\d+)/.exec(text);
        if (found !== null && /Ready/.test(text)) resolve(`http://127.0.0.1:${found[1]}/token`);
      });
      server.once("exit", () => reject(new Error(`the server ended: ${text}`)));
    });
    return [await (await fetch(url)).json(), await (await fetch(url)).json()];
  } finally {
    server.kill();
  }
}

function check(answers, within) {
  assert.deepEqual(
    answers.map(({ fromCache }) => fromCache),
    [false, true],
  );
  const [{ scopes, addons }] = answers;
  assert.deepEqual(scopes, ["https://vault.azure.net"]);
  assert.equal(addons.filter((path) => path.includes("managed-identity-native")).length, 1);
  assert.ok(addons.some((path) => path.startsWith(within)));
}

for (const [bundler, option] of [
  ["Turbopack", "--turbopack"],
  ["webpack", "--webpack"],
]) {
  test(`${bundler}, without an option, with node_modules`, async () => {
    await build([option]);
    check(await request([next, "start"], store), store);
  });

  test(`${bundler}, a standalone server`, async () => {
    await build([option], { STANDALONE: "1" });
    // Elsewhere, so that the server finds nothing but the files that were traced.
    const server = join(folder, `${bundler}-server`);
    cpSync(join(store, ".next", "standalone"), server, { recursive: true, verbatimSymlinks: true });
    const name = `managed-identity-native-${platformFolder()}`;
    assert.ok(existsSync(join(server, "node_modules", name)));
    check(await request(["server.js"], server), server);
  });
}
