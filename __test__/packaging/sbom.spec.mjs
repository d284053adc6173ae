// The bill of materials that a release is published with: valid, reproducible, and complete for the add-on.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import test from "ava";
import { has, testWith } from "../support/capabilities.mjs";
import { platformFolder, readManifest, root, skeletons } from "./packages.mjs";

const run = promisify(execFile);
const whole = readManifest(root);
const own = readManifest(join(root, "npm", platformFolder()));
/** The files that the script reads, except those in npm/. */
const READ = [
  "scripts",
  "Cargo.lock",
  "Cargo.toml",
  "rust-toolchain.toml",
  "package-lock.json",
  "package.json",
  "src",
];

async function writeSbom(script = root, env = {}) {
  const settings = { cwd: tmpdir(), env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await run(process.execPath, [join(script, "scripts", "sbom.mjs")], settings);
  return stdout;
}

/** Copies these files, so that an add-on can be put where a release has it. */
function copy(t) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "sbom-")));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const path of READ) cpSync(join(root, path), join(folder, path), { recursive: true });
  for (const name of skeletons(root)) {
    cpSync(join(root, "npm", name, "package.json"), join(folder, "npm", name, "package.json"));
  }
  return folder;
}

let text;
let bom;

/** scripts/sbom.mjs reads the crates from cargo. */
const cargoTest = testWith(test, "cargo");

test.before(async (t) => {
  if (!has("cargo")) return;
  t.timeout(300_000); // cargo downloads the manifests of other platforms' crates, once.
  text = await writeSbom();
  bom = JSON.parse(text);
});

cargoTest("it is valid CycloneDX 1.6", async (t) => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  t.is(await validator.validate(text), null);
  t.not(await validator.validate(text.replace('"SHA-256"', '"SHA-2"')), null);
});

cargoTest("it is the same each time, wherever it is written", async (t) => {
  t.is(
    await writeSbom(root, { TZ: "Asia/Tokyo", LANG: "tr_TR.UTF-8", LC_ALL: "C", CARGO_TERM_COLOR: "always" }),
    text,
  );
});

cargoTest("each dependency is listed and can be reached from the package", (t) => {
  const components = new Set(bom.components.map((component) => component["bom-ref"]));
  t.is(components.size, bom.components.length);
  const edges = new Map(bom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const reached = new Set();
  const visit = (ref) => {
    if (reached.has(ref)) return;
    reached.add(ref);
    edges.get(ref).forEach(visit);
  };
  const self = bom.metadata.component["bom-ref"];
  t.is(self, `pkg:npm/${whole.name}@${whole.version}`);
  visit(self);
  t.deepEqual([...reached].sort(), [self, ...components].sort());
});

cargoTest("it names the platform packages, and each npm package that is installed with them", (t) => {
  const names = bom.components.filter(({ purl }) => purl.startsWith("pkg:npm/")).map(({ name }) => name);
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  // npm marks what a link leads to as a development dependency, and not the link itself.
  const isForDevelopment = ({ link, resolved, dev }) => (link ? packages[resolved].dev : dev) === true;
  const production = Object.keys(packages).filter((path) => path !== "" && !isForDevelopment(packages[path]));
  const expected = skeletons(root).map((name) => `${whole.name}-${name}`);
  t.deepEqual(
    names.sort(),
    [...expected, ...production.map((path) => path.split("node_modules/").at(-1))].sort(),
  );
});

/** The dependencies of Rust's standard library that leave the paths of their sources in a program. */
const CRATES_OF_STD = new Set(["addr2line", "gimli", "hashbrown", "miniz_oxide", "object", "rustc-demangle"]);

cargoTest("every crate that the built add-on names is in it, with the checksum of Cargo.lock", (t) => {
  // Where a crate can panic, the compiler leaves the path of its source in the binary.
  const binary = readFileSync(join(root, own.main), "latin1");
  const named = new Set(
    [...binary.matchAll(/registry[/\\]src[/\\][^/\\]+[/\\]([\w.+-]+)-(\d+\.\d+\.\d+[\w.+-]*)[/\\]/g)].map(
      ([, name, version]) => `pkg:cargo/${name}@${version}`,
    ),
  );
  t.true(named.size > 10, [...named].join(" "));
  const crates = new Map(bom.components.map((component) => [component.purl, component]));
  const unknown = [...named].filter((purl) => !crates.has(purl));
  // `npm run platforms` builds the standard library as well, whose crates are part of Rust.
  t.deepEqual(
    unknown.filter((purl) => !CRATES_OF_STD.has(/cargo\/(.+)@/.exec(purl)[1])),
    [],
  );
  for (const purl of unknown) named.delete(purl);
  const lock = readFileSync(join(root, "Cargo.lock"), "utf8");
  for (const purl of named) {
    const { name, version, hashes, licenses } = crates.get(purl);
    const [{ alg, content }] = hashes;
    t.is(alg, "SHA-256");
    const block = `name = "${name}"\nversion = "${version}"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\nchecksum = "${content}"`;
    t.true(lock.replaceAll("\r\n", "\n").includes(block), purl);
    t.is(licenses.length, 1);
  }
});

cargoTest("dependencies for building and testing are not in it", (t) => {
  const names = new Set(bom.components.map(({ name }) => name));
  for (const name of ["napi", "reqwest", "ring", "rust-std"]) t.true(names.has(name), name);
  for (const name of ["napi-build", "napi-derive", "syn", "proc-macro2", "cc", "ava", "typescript"]) {
    t.false(names.has(name), name);
  }
});

cargoTest("it states the hash of an add-on that is in its package's folder", async (t) => {
  const folder = copy(t);
  const addOn = join(root, own.main);
  cpSync(addOn, join(folder, "npm", platformFolder(), own.main));
  const { components, serialNumber } = JSON.parse(await writeSbom(folder));
  const content = createHash("sha512").update(readFileSync(addOn)).digest("hex");
  t.deepEqual(components.find(({ name }) => name === own.name).hashes, [{ alg: "SHA-512", content }]);
  t.deepEqual(
    components.filter(({ name }) => name !== own.name),
    bom.components.filter(({ name }) => name !== own.name),
  );
  t.not(serialNumber, bom.serialNumber);
});
