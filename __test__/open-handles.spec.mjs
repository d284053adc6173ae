// `jest --detectOpenHandles` finds nothing after a token was acquired. It reports asynchronous resources that code of a
// test creates and that are not destroyed, even if they do not keep the process alive.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { startEmulator } from "managed-identity-native/emulator";
import { environmentWith } from "./support/environment.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const jest = join(createRequire(import.meta.url).resolve("jest/package.json"), "../bin/jest.js");

/** Runs a test file with Jest. Returns its results and the messages about open handles. */
async function detectOpenHandles(t, source, flags = []) {
  const endpoint = await startEmulator({ source: "app-service" });
  t.teardown(() => endpoint.close());
  // Inside the package, so that the test can import it by its name. Git ignores the directory.
  mkdirSync(join(root, "target"), { recursive: true });
  const directory = mkdtempSync(join(root, "target", "open-handles-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "handles.test.cjs"), source);
  const options = [
    "--detectOpenHandles",
    "--json",
    `--rootDir=${directory}`,
    "--testMatch=**/*.test.cjs",
    "--transform={}",
    `--cacheDirectory=${join(directory, "cache")}`,
    "--watchman=false",
    ...flags,
  ];
  const child = spawn(process.execPath, [jest, ...options], {
    cwd: directory,
    env: environmentWith(endpoint.env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [[code], stdout, stderr] = await Promise.all([
    once(child, "close"),
    text(child.stdout),
    text(child.stderr),
  ]);
  t.is(code, 0, stdout + stderr);
  const { numPassedTests, openHandles } = JSON.parse(stdout);
  return { passed: numPassedTests, isReported: stderr.includes("open handle"), handles: openHandles.length };
}

const IMPORT = `const { ManagedIdentityApplication } = require("managed-identity-native");`;
const CALL = `await new ManagedIdentityApplication(configuration).acquireToken("https://vault.azure.net");`;

const PROGRAMS = {
  "one call": `${IMPORT}
    const configuration = {};
    test("acquires a token", async () => { ${CALL} });`,
  "a package that the test itself loads": `
    const configuration = {};
    test("acquires a token", async () => { ${IMPORT} ${CALL} });`,
  "a logger, an observer and a subscriber": `${IMPORT}
    const { subscribe } = require("node:diagnostics_channel");
    const configuration = {
      system: { loggerOptions: { loggerCallback() {}, logLevel: 3 }, onBackgroundTokenRefresh() {} },
    };
    test("acquires a token", async () => {
      let events = 0;
      subscribe("managed-identity-native:request", () => { events += 1; });
      ${CALL}
      expect(events).toBe(1);
    });`,
  "a network client": `${IMPORT}
    const send = async () => ({ status: 200, headers: {}, body: { access_token: "a", expires_in: 3600 } });
    const configuration = { system: { networkClient: { sendGetRequestAsync: send, sendPostRequestAsync: send } } };
    test("acquires a token", async () => { ${CALL} });`,
  "a cache plug-in": `${IMPORT}
    const cachePlugin = { async beforeCacheAccess() {}, async afterCacheAccess() {} };
    const configuration = { cache: { cachePlugin } };
    test("acquires a token", async () => { ${CALL} });`,
  "the testing kit": `${IMPORT}
    const { useEmulatedIdentity } = require("managed-identity-native/testing");
    const configuration = {};
    test("acquires a token", async () => {
      const identity = await useEmulatedIdentity();
      ${CALL}
      await identity.restore();
    });`,
};

for (const [name, source] of Object.entries(PROGRAMS)) {
  test.serial(`nothing is open after ${name}`, async (t) => {
    t.timeout(60_000);
    t.deepEqual(await detectOpenHandles(t, source), { passed: 1, isReported: false, handles: 0 });
  });
}

test.serial("an open handle of a test is reported", async (t) => {
  t.timeout(60_000);
  const source = `test("listens", () => {
    require("node:net").createServer().listen(0, "127.0.0.1");
  });`;
  const { handles } = await detectOpenHandles(t, source, ["--forceExit"]);
  t.true(handles > 0);
});
