// The checks of a release before it publishes: it runs on the tag of its version, and all manifests name its repository.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { PLACEHOLDER } from "../../scripts/set-repository.mjs";
import { readManifest, root } from "./packages.mjs";

const REPOSITORY = "somewhere/managed-identity-native";
const { version } = readManifest(root);
const TAG = {
  CI: "true",
  GITHUB_REF_TYPE: "tag",
  GITHUB_REF_NAME: `v${version}`,
  GITHUB_REPOSITORY: REPOSITORY,
};

/** A copy of the manifests and scripts, and a program that runs one of the scripts there. */
function copyManifests(t) {
  const copy = mkdtempSync(join(tmpdir(), "release-"));
  t.teardown(() => rmSync(copy, { recursive: true, force: true }));
  for (const path of ["package.json", "npm", "scripts"])
    cpSync(join(root, path), join(copy, path), { recursive: true });
  const runScript = (name, args = [], env = {}) => {
    const { status, stderr } = spawnSync(process.execPath, [join(copy, "scripts", name), ...args], {
      encoding: "utf8",
      // napi is not on this path, so that nothing can be published.
      env: { PATH: copy, ...env },
    });
    return { status, stderr };
  };
  return { copy, runScript };
}

test("with the placeholder as the owner, a release fails before it publishes", (t) => {
  const { runScript } = copyManifests(t);
  runScript("set-repository.mjs", [`${PLACEHOLDER}/managed-identity-native`]);
  for (const { status, stderr } of [
    runScript("set-repository.mjs", ["--check", REPOSITORY]),
    runScript("prepublish.mjs", [], TAG),
  ]) {
    t.is(status, 1);
    t.regex(stderr, /placeholder/);
  }
});

test("set-repository writes all nine manifests, and changes nothing else in them", (t) => {
  const { copy, runScript } = copyManifests(t);
  t.deepEqual(runScript("set-repository.mjs", [REPOSITORY]), { status: 0, stderr: "" });
  t.deepEqual(runScript("set-repository.mjs", ["--check", REPOSITORY]), { status: 0, stderr: "" });
  for (const folder of ["", ...readdirSync(join(root, "npm")).map((name) => join("npm", name))]) {
    const path = join(folder, "package.json");
    const [before, after] = [root, copy].map((from) => readFileSync(join(from, path), "utf8"));
    const { url } = JSON.parse(before).repository;
    const named = /github\.com\/([^/]+\/[^/]+)\.git$/.exec(url)[1];
    t.is(before.replaceAll(named, REPOSITORY), after, path);
  }
});

test("a release of another repository, or with one manifest that differs, fails", (t) => {
  const { copy, runScript } = copyManifests(t);
  runScript("set-repository.mjs", [REPOSITORY]);
  t.regex(runScript("prepublish.mjs", [], { ...TAG, GITHUB_REPOSITORY: "else/where" }).stderr, /else\/where/);
  const path = join(copy, "npm", "linux-x64-gnu", "package.json");
  writeFileSync(path, readFileSync(path, "utf8").replace(REPOSITORY, "else/where"));
  const { status, stderr } = runScript("set-repository.mjs", ["--check", REPOSITORY]);
  t.is(status, 1);
  t.regex(stderr, /^set-repository: npm\/linux-x64-gnu\/package\.json does not name /);
});

test("without CI and the tag of the version, nothing is published", (t) => {
  const { runScript } = copyManifests(t);
  runScript("set-repository.mjs", [REPOSITORY]);
  for (const env of [{}, { ...TAG, CI: "" }, { ...TAG, GITHUB_REF_NAME: "v0.0.0" }]) {
    const { status, stderr } = runScript("prepublish.mjs", [], env);
    t.is(status, 1);
    t.regex(stderr, /not allowed here/);
  }
});
