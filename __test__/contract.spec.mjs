// The sources are checked against the hand-written contract: what one of the two lacks fails `tsc`.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");

/** Compiles a copy of the sources in which a text is replaced; returns what `tsc` says. */
function compileWith(t, file, before, after) {
  mkdirSync(join(root, "target"), { recursive: true });
  const folder = mkdtempSync(join(root, "target", "contract-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const path of ["lib", "index.d.ts", "binding.d.ts", "tsconfig.json"]) {
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }');
  const text = readFileSync(join(folder, file), "utf8");
  t.is(text.split(before).length, 2, `${file} has this once: ${before}`);
  writeFileSync(join(folder, file), text.replace(before, after));
  return spawnSync(process.execPath, [tsc, "--noEmit"], { cwd: folder, encoding: "utf8" }).stdout;
}

test("the sources compile as they are", (t) => {
  t.is(compileWith(t, "lib/index.ts", "LogLevel,", "LogLevel,"), "");
});

for (const [name, file, before, after, expected] of [
  ["a field of a result", "lib/result.ts", '    familyId: "",\n', "", /familyId/],
  [
    "a field of an access token",
    "lib/result.ts",
    "    expiresOnTimestamp: expiresOnMs,\n",
    "",
    /expiresOnTimestamp/,
  ],
  ["an export", "lib/index.ts", "LogLevel, ", "", /LogLevel/],
  ["a method", "lib/application.ts", "  clientAssertion(", "  renamed(", /clientAssertion/],
  ["a field of native code", "binding.d.ts", "  freshUntilMs: number\n", "", /freshUntilMs/],
]) {
  test(`without ${name} they do not compile`, (t) => {
    t.regex(compileWith(t, file, before, after), expected);
  });
}

test("an export that the contract lacks does not compile", (t) => {
  const added = 'export { nextCorrelationId } from "./correlation-id.js";\nexport { ManagedIdentityId }';
  t.regex(compileWith(t, "lib/index.ts", "export { ManagedIdentityId }", added), /nextCorrelationId/);
});
