// Every recipe of docs/testing.md under each test runner that the page names, in a process of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { transformSync } from "esbuild";
import { environmentWith } from "./support/environment.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { resolve } = createRequire(import.meta.url);

/** The arguments of Node.js and the reported test counts of each runner. `module` is where its functions come from. */
const RUNNERS = {
  "node:test": {
    module: '"node:test"',
    arguments: (file) => ["--test", "--test-reporter=tap", file],
    counts: (output) => [matchNumber(output, /^# pass (\d+)/m), matchNumber(output, /^# fail (\d+)/m)],
  },
  Vitest: {
    module: '"vitest"',
    arguments: (_file, directory) => [
      join(resolve("vitest/package.json"), "../vitest.mjs"),
      "run",
      "--reporter=json",
      `--root=${directory}`,
    ],
    counts: jsonCounts,
  },
  Jest: {
    module: '"@jest/globals"',
    arguments: (_file, directory) => [
      join(resolve("jest/package.json"), "../bin/jest.js"),
      "--json",
      `--rootDir=${directory}`,
      "--testMatch=**/*.test.cjs",
      "--transform={}",
      `--cacheDirectory=${join(directory, "cache")}`,
      "--watchman=false",
    ],
    counts: jsonCounts,
  },
  Mocha: {
    module: '"mocha"',
    arguments: (file) => [
      join(resolve("mocha/package.json"), "../bin/mocha.js"),
      "--reporter=json",
      // The default of 2 s is too short for the emulator's key on a busy machine.
      "--timeout=30000",
      file,
    ],
    counts: (output) => {
      const { stats } = JSON.parse(output);
      return [stats.passes, stats.failures];
    },
  },
};
const IMPORT = /^import \{(?<names>[^}]*\btest\b[^}]*)\} from "(?<from>[^"]+)";$/m;
const HEADING = /^#{2,3} (.+)$/gm;

function matchNumber(output, pattern) {
  return Number(pattern.exec(output)?.[1]);
}

function jsonCounts(output) {
  const { numPassedTests, numFailedTests } = JSON.parse(output);
  return [numPassedTests, numFailedTests];
}

/** Returns the recipes of the page as `{ title, code, from }`; `from` is the runner's module that the recipe imports. */
function readRecipes() {
  const page = readFileSync(join(root, "docs/testing.md"), "utf8");
  return [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(({ 1: code, index }) => {
    const [title] = [...page.slice(0, index).matchAll(HEADING)].at(-1).slice(1);
    const library = /from "(msw|nock)"/.exec(code)?.[1];
    return { title: library ? `${title}: ${library}` : title, code, from: IMPORT.exec(code).groups.from };
  });
}

/** Returns a recipe for a runner, or undefined if it is for another runner only. */
function adapt({ code, from }, runner) {
  const module = RUNNERS[runner].module.slice(1, -1);
  if (from === module) return code;
  // A recipe for every runner imports these functions only.
  const { names } = IMPORT.exec(code).groups;
  if (from !== "node:test" || names.includes("mock")) return undefined;
  const adapted = module === "mocha" ? names.replace("test", "it as test") : names;
  return code.replace(IMPORT, `import {${adapted}} from "${module}";`);
}

function createDirectory(t) {
  // Inside the package, so that a recipe can import it by its name. Git ignores the directory.
  mkdirSync(join(root, "target"), { recursive: true });
  const directory = mkdtempSync(join(root, "target", "recipe-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function writeRecipe(directory, runner, code) {
  const isJest = runner === "Jest"; // Its transform makes CommonJS of modules, as this one does.
  const file = join(directory, isJest ? "recipe.test.cjs" : "recipe.test.mjs");
  writeFileSync(file, isJest ? transformSync(code, { format: "cjs", target: "node20" }).code : code);
  return file;
}

for (const recipe of readRecipes()) {
  for (const [runner, { arguments: argumentsFor, counts }] of Object.entries(RUNNERS)) {
    const code = adapt(recipe, runner);
    if (code === undefined) continue;
    test.serial(`${recipe.title}: ${runner}`, async (t) => {
      t.timeout(60_000);
      const directory = createDirectory(t);
      const file = writeRecipe(directory, runner, code);
      const child = spawn(process.execPath, argumentsFor(file, directory), {
        cwd: directory,
        // node:test would report to the test runner that this variable names.
        env: environmentWith({ NODE_TEST_CONTEXT: undefined }),
        stdio: ["ignore", "pipe", "pipe"],
      });
      t.teardown(() => child.kill("SIGKILL"));
      const [[exitCode], stdout, stderr] = await Promise.all([
        once(child, "close"),
        text(child.stdout),
        text(child.stderr),
      ]);
      t.is(exitCode, 0, stdout + stderr);
      t.deepEqual(counts(stdout), [code.match(/^test\(/gm).length, 0]);
    });
  }
}

test("each kind of recipe has run under every runner", (t) => {
  const titles = new Map();
  for (const recipe of readRecipes()) {
    const runners = Object.keys(RUNNERS).filter((runner) => adapt(recipe, runner) !== undefined);
    titles.set(recipe.title, [...(titles.get(recipe.title) ?? []), ...runners]);
  }
  for (const [title, runners] of titles) t.deepEqual(runners, Object.keys(RUNNERS), title);
  t.is(titles.size, 7);
});
