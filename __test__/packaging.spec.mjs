// The packages as a release publishes them, used as a user would: their contents, installation without scripts and without
// a network, and every supported Node.js, module format and bundler.

import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { publint } from "publint";
import { bundles, deploy } from "./packaging/bundles.mjs";
import { entries, faults } from "./packaging/contents.mjs";
import { installNodes, nodes } from "./packaging/nodes.mjs";
import { NOTICES, packReleased, readManifest, root, skeletons } from "./packaging/packages.mjs";
import { installProject, runProgram } from "./packaging/project.mjs";

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const published = require("managed-identity-native");
/** npm runs these by itself when a package is installed. */
const INSTALL_SCRIPTS = ["preinstall", "install", "postinstall", "prepare"];
const JOURNEY = {
  version: published.version,
  source: "AppService",
  fromCache: [false, true],
  sameToken: true,
  requests: 1,
};

let folder;
let packed;
let project;

test.before(async (t) => {
  t.timeout(900_000); // The first run downloads four versions of Node.js.
  folder = realpathSync(mkdtempSync(join(tmpdir(), "packaging-")));
  [packed] = await Promise.all([packReleased(folder), installNodes()]);
  project = await installProject(join(folder, "project"), [packed.package.tarball, packed.platform.tarball]);
});

test.after.always(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Returns the path of a program of a development dependency. */
function program(name, path) {
  return join(dirname(require.resolve(`${name}/package.json`)), path);
}

/** Returns the path from which the add-on must be loaded. */
function installedAddOn() {
  const { name, main } = packed.platform.manifest;
  return join(project, "node_modules", name, main);
}

test("the package contains the files that its manifest refers to, and no others", (t) => {
  t.deepEqual(faults(packed.package), { surplus: [], missing: [] });
  t.true(packed.package.files.length > entries(packed.package.manifest).length);
});

test("the package does not contain sources, tests, add-ons or lock files", (t) => {
  const foreign =
    /(^|\/)(src|__test__|bench|examples|npm|\.[^/]+)\/|\.(rs|node|toml|lock|tsx?|map|spec\.mjs)$|lock\.json$/;
  const files = packed.package.files.filter((path) => !/\.d\.[cm]?ts$/.test(path));
  t.deepEqual(
    files.filter((path) => foreign.test(path)),
    [],
  );
});

test("the platform package contains its add-on, as it was built, and documents", (t) => {
  const { files, manifest, source } = packed.platform;
  const papers = ["LICENSE", NOTICES, "README.md", "package.json"];
  t.deepEqual(
    files.filter((path) => !papers.includes(path)),
    [manifest.main],
  );
  t.true(readFileSync(installedAddOn()).equals(readFileSync(join(root, manifest.main))));
  t.true(existsSync(join(source, "README.md")));
});

test("no package has a script that npm runs when it is installed", (t) => {
  for (const { manifest, files } of Object.values(packed)) {
    const scripts = Object.keys(manifest.scripts ?? {}).filter((name) => INSTALL_SCRIPTS.includes(name));
    t.deepEqual(scripts, [], manifest.name);
    t.false(files.includes("binding.gyp"), "with it npm would compile");
  }
});

test("the package depends on its platform packages of the same version, all optional, and on nothing else", (t) => {
  const { manifest } = packed.package;
  const expected = skeletons(root).map((name) => [`${manifest.name}-${name}`, manifest.version]);
  t.deepEqual(Object.entries(manifest.optionalDependencies).sort(), expected.sort());
  for (const kind of ["dependencies", "peerDependencies", "bundleDependencies"])
    t.is(manifest[kind], undefined);
  const installed = Object.keys(readManifest(project).dependencies);
  t.deepEqual(installed.sort(), [manifest.name, packed.platform.manifest.name].sort());
});

for (const name of skeletons(root)) {
  test(`the skeleton of ${name} is for that platform and agrees with the package`, (t) => {
    const whole = readManifest(root);
    const skeleton = readManifest(join(root, "npm", name));
    const [os, cpu, library] = name.split("-");
    const libc = { gnu: ["glibc"], musl: ["musl"] }[library];
    const main = `${whole.napi.binaryName}.${name}.node`;
    const { bugs, description, engines, homepage, keywords, license, repository, version } = whole;
    t.like(skeleton, {
      bugs,
      homepage,
      repository: { ...repository, directory: `npm/${name}` },
      description,
      engines,
      keywords,
      license,
      version,
      main,
      name: `${whole.name}-${name}`,
    });
    t.deepEqual(
      { os: skeleton.os, cpu: skeleton.cpu, libc: skeleton.libc, files: skeleton.files },
      { os: [os], cpu: [cpu], libc, files: [main, NOTICES] },
    );
    for (const kind of ["scripts", "dependencies", "optionalDependencies"]) t.is(skeleton[kind], undefined);
  });
}

test("publint does not report anything about the tarballs", async (t) => {
  for (const [name, level] of [
    ["package", "suggestion"],
    ["platform", "warning"],
  ]) {
    const tarball = readFileSync(packed[name].tarball);
    const data = tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength);
    const { messages } = await publint({ pack: { tarball: data }, level, strict: true });
    t.deepEqual(messages, [], name);
  }
});

test("arethetypeswrong finds each entry point's types right, however it is resolved", async (t) => {
  const attw = program("@arethetypeswrong/cli", "dist/index.js");
  const { stdout } = await run(process.execPath, [attw, packed.package.tarball, "--format", "json"], {
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error) => error);
  const { analysis } = JSON.parse(stdout);
  t.deepEqual(analysis.problems, []);
  const subpaths = Object.keys(packed.package.manifest.exports).map((path) => posix.normalize(path));
  t.deepEqual(
    Object.keys(analysis.entrypoints)
      .map((path) => posix.normalize(path))
      .sort(),
    subpaths.sort(),
  );
});

test("every entry point can be required and imported, and gives one instance", async (t) => {
  for (const [path, entry] of Object.entries(packed.package.manifest.exports)) {
    if (typeof entry === "string" || path.includes("*")) continue;
    const name = posix.join(packed.package.manifest.name, path);
    const code = `
      const required = require(${JSON.stringify(name)});
      import(${JSON.stringify(name)}).then((imported) => {
        const names = Object.keys(required);
        const same = names.length > 0 && names.every((name) => required[name] === imported[name]);
        console.log(JSON.stringify({ same, whole: imported.default === required }));
      });`;
    t.deepEqual(await runProgram(project, ["-e", code]), { same: true, whole: true }, name);
  }
});

for (const { name, version, executable } of nodes) {
  for (const file of ["commonjs.cjs", "module.mjs"]) {
    test(`${name} runs ${file} with one add-on, from the platform package`, async (t) => {
      const { names, differing, addOns, ...journey } = await runProgram(project, [file], {
        node: executable,
      });
      t.deepEqual(journey, { ...JOURNEY, node: version });
      t.deepEqual(names, Object.keys(published).sort());
      t.deepEqual(differing, []);
      t.deepEqual(addOns, [installedAddOn()]);
    });
  }
}

test("the installed command line runs the emulator, and under it the doctor", async (t) => {
  const cli = join("node_modules", "managed-identity-native", "dist", "cli.js");
  const report = await runProgram(project, [
    cli,
    "emulator",
    "--",
    process.execPath,
    cli,
    "doctor",
    "--json",
  ]);
  t.is(report.source, "AppService");
  t.truthy(report.token);
});

for (const resolution of ["node16", "nodenext", "bundler"]) {
  test(`TypeScript compiles against the installed types with moduleResolution ${resolution}`, async (t) => {
    const types = join(root, "node_modules", "@types");
    const config = join("typescript", `tsconfig.${resolution}.json`);
    const tsc = [program("typescript", "bin/tsc"), "--project", config, "--typeRoots", types];
    const { stdout, code } = await run(process.execPath, tsc, { cwd: project }).catch((error) => error);
    t.deepEqual({ stdout, code }, { stdout: "", code: undefined });
    if (resolution === "bundler") return; // It emits nothing: the bundlers below do.
    for (const file of ["commonjs.cjs", "module.mjs"]) {
      const { node, errorCode, ...journey } = await runProgram(project, [join(resolution, file)]);
      t.deepEqual(journey, JOURNEY);
      t.is(errorCode, "invalid_resource");
    }
  });
}

for (const [name, bundle] of Object.entries(bundles)) {
  test(`bundled by ${name}`, async (t) => {
    const deployed = join(folder, name.replaceAll(/\W+/g, "-"));
    const path = await deploy(bundle, {
      project,
      entry: join("typescript", "function.ts"),
      folder: deployed,
    });
    cpSync(join(project, "host.cjs"), join(deployed, "host.cjs"));
    const emulator = join(project, "node_modules", packed.package.manifest.name, "dist", "emulator.js");
    const { answers, requests, addOns } = await runProgram(deployed, ["host.cjs", path, emulator]);
    const answer = { version: published.version, tokenType: "Bearer", scopes: ["https://vault.azure.net"] };
    t.deepEqual(answers, [
      { ...answer, fromCache: false },
      { ...answer, fromCache: true },
    ]);
    t.is(requests, 1);
    t.is(addOns.length, 1);
    t.true(addOns[0].startsWith(deployed), "the add-on came along");
    t.is(statSync(addOns[0]).size, statSync(installedAddOn()).size);
  });
}
