// Runs the specs with ava, whose arguments it accepts, and then prints how many tests were skipped for which capability
// that the machine lacks (__test__/support/capabilities.mjs).

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ava = fileURLToPath(new URL("../node_modules/ava/entrypoints/cli.mjs", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "skipped-tests-"));
const file = join(directory, "capabilities.txt");
writeFileSync(file, "");
const { status } = spawnSync(process.execPath, [ava, ...process.argv.slice(2)], {
  env: { ...process.env, SKIPPED_TESTS_FILE: file },
  stdio: "inherit",
});
const skipped = new Map();
for (const capability of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
  skipped.set(capability, (skipped.get(capability) ?? 0) + 1);
}
rmSync(directory, { recursive: true });
// A comment in TAP.
const counts = [...skipped].map(([capability, count]) => `${count} without ${capability}`);
console.log(`# skipped for what this machine lacks: ${counts.join(", ") || "none"}`);
process.exitCode = status ?? 1;
