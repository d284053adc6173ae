// The real test runners with their own fake timers, each in a process of its own, against the emulator.
// fake-timers.spec.mjs covers the other effects of a fake clock on tokens.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { startEmulator } from "managed-identity-native/emulator";
import { environmentWith } from "./support/environment.mjs";

const HOUR = 3_600;
const { resolve } = createRequire(import.meta.url);

/** The program of each runner and its arguments: without a configuration file, with JSON on standard output. */
const RUNNERS = {
  Vitest: (folder) => [
    join(resolve("vitest/package.json"), "../vitest.mjs"),
    "run",
    "--reporter=json",
    `--root=${folder}`,
  ],
  Jest: (folder, cache) => [
    join(resolve("jest/package.json"), "../bin/jest.js"),
    "--json",
    `--rootDir=${folder}`,
    "--testMatch=**/*.test.cjs",
    "--transform={}",
    `--cacheDirectory=${cache}`,
    "--watchman=false",
  ],
};

for (const [runner, command] of Object.entries(RUNNERS)) {
  test(`${runner}: its fake timers age tokens`, async (t) => {
    t.timeout(60_000);
    const emulator = await startEmulator({ source: "app-service", lifetimeSeconds: HOUR });
    t.teardown(() => emulator.close());
    const cache = mkdtempSync(join(tmpdir(), "test-runner-"));
    t.teardown(() => rmSync(cache, { recursive: true, force: true }));
    const folder = fileURLToPath(new URL(`test-runners/${runner.toLowerCase()}`, import.meta.url));
    const child = spawn(process.execPath, command(folder, cache), {
      cwd: folder,
      env: environmentWith(emulator.env),
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.teardown(() => child.kill("SIGKILL"));
    const [[code], stdout, stderr] = await Promise.all([
      once(child, "close"),
      text(child.stdout),
      text(child.stderr),
    ]);
    t.is(code, 0, stdout + stderr);
    const { testResults } = JSON.parse(stdout);
    const ran = testResults.flatMap(({ assertionResults }) => assertionResults);
    t.deepEqual(
      ran.map(({ title, status }) => [title, status]),
      [
        ["a token ages by two hours", "passed"],
        ["a clock that is set back does not make an expired token fresh", "passed"],
        ["real time afterwards serves no token by its fake age", "passed"],
      ],
    );
  });
}
