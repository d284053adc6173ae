// Writes the bill of materials of a release (CycloneDX 1.6, JSON) to the given file or to stdout: the npm package, its
// platform packages, and the crates that are linked into each add-on. If an add-on is in its folder below npm/, its hash is
// included. The same commit, toolchain and add-ons result in the same bytes: it contains neither times nor random values.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const manifest = readJson("package.json");
const targets = [...manifest.napi.targets].sort();
/** The property of a component that is linked for some targets only. */
const TARGET = "managed-identity-native:target";

/** All components by their reference, and the dependencies of each. */
const components = new Map();
const dependencies = new Map();

function readText(path) {
  return readFileSync(new URL(path, root), "utf8");
}

function readJson(path) {
  return JSON.parse(readText(path));
}

/** Returns the output of a program of the Rust toolchain. */
function outputOf(command, ...options) {
  const settings = { cwd: fileURLToPath(root), encoding: "utf8", maxBuffer: 64 * 1024 * 1024 };
  return execFileSync(command, options, settings);
}

function npmReference({ name, version }) {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

function add(reference, component) {
  if (!components.has(reference)) {
    components.set(reference, { "bom-ref": reference, ...component, purl: reference });
    dependencies.set(reference, new Set());
  }
  return components.get(reference);
}

/** Returns an SPDX expression as CycloneDX has it; older crates wrote a slash for "OR". */
function licenseChoice(expression) {
  return expression === "" ? undefined : [{ expression: expression.replaceAll("/", " OR ") }];
}

/** Returns the checksums of crates.io, by "name@version", from Cargo.lock. */
function checksums() {
  const blocks = readText("Cargo.lock").split("[[package]]");
  const field = (block, name) => block.match(new RegExp(`^${name} = "(.+)"$`, "m"))?.[1];
  return new Map(
    blocks.map((block) => [`${field(block, "name")}@${field(block, "version")}`, field(block, "checksum")]),
  );
}

/**
 * Adds the crates that are linked for a target, as dependencies of `reference`. They come from cargo, with the features
 * that it resolves for that target, and without procedural macros and build scripts, which run only during the build.
 */
function addCrates(target, reference, published) {
  const options = ["--locked", "--edges=normal,no-proc-macro", "--prefix=depth", "--format={p}|{l}"];
  const tree = outputOf("cargo", "tree", `--target=${target}`, ...options);
  const above = [];
  for (const line of tree.trim().split("\n")) {
    const [, depth, name, version, license] = line.match(/^(\d+)(\S+) v(\S+)[^|]*\|(.*?)(?: \(\*\))?$/);
    above.length = Number(depth);
    if (above.length === 0) {
      above.push(reference);
      continue;
    }
    const crate = `pkg:cargo/${name}@${version}`;
    const component = add(crate, {
      type: "library",
      name,
      version,
      hashes: [{ alg: "SHA-256", content: published.get(`${name}@${version}`) }],
      licenses: licenseChoice(license),
      targets: new Set(),
    });
    component.targets.add(target);
    dependencies.get(above.at(-1)).add(crate);
    above.push(crate);
  }
}

/** Adds the standard library, which is linked into every add-on; cargo does not list it. */
function addStandardLibrary() {
  const version = outputOf("rustc", "--version", "--verbose").match(/^release: (.+)$/m)[1];
  const reference = `pkg:generic/rust-std@${version}`;
  add(reference, {
    type: "library",
    name: "rust-std",
    version,
    licenses: licenseChoice("MIT OR Apache-2.0"),
  });
  return reference;
}

function addPlatformPackages() {
  const published = checksums();
  const standardLibrary = addStandardLibrary();
  const folders = readdirSync(new URL("npm/", root)).sort();
  for (const folder of folders) {
    const platform = readJson(`npm/${folder}/package.json`);
    const target = targets.find((triple) => folderOf(triple) === folder);
    if (target === undefined) throw new Error(`npm/${folder} has no target in package.json`);
    const addOn = new URL(`npm/${folder}/${platform.main}`, root);
    const hash = existsSync(addOn) && createHash("sha512").update(readFileSync(addOn)).digest("hex");
    const reference = npmReference(platform);
    add(reference, {
      type: "library",
      name: platform.name,
      version: platform.version,
      hashes: hash ? [{ alg: "SHA-512", content: hash }] : undefined,
      licenses: licenseChoice(platform.license),
      properties: [{ name: TARGET, value: target }],
    });
    dependencies.get(npmReference(manifest)).add(reference);
    dependencies.get(reference).add(standardLibrary);
    addCrates(target, reference, published);
  }
}

/** Returns the folder below npm/ of a Rust target, as napi names it. */
function folderOf(triple) {
  const [architecture, , system, library] = triple.split("-");
  const arch = { aarch64: "arm64", x86_64: "x64" }[architecture];
  const platform = { darwin: "darwin", windows: "win32", linux: "linux" }[system];
  return [platform, arch, library].filter(Boolean).join("-");
}

/** Adds the npm packages that are installed with this one, from package-lock.json; development dependencies are not. */
function addNpmPackages() {
  for (const [path, entry] of Object.entries(readJson("package-lock.json").packages)) {
    // Packages of this repository are linked, for development only.
    if (path === "" || entry.link || entry.dev || entry.devOptional || entry.peer) continue;
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    const [algorithm, hash] = entry.integrity.split("-");
    const reference = npmReference({ name, version: entry.version });
    add(reference, {
      type: "library",
      name,
      version: entry.version,
      hashes: [
        { alg: algorithm.replace("sha", "SHA-"), content: Buffer.from(hash, "base64").toString("hex") },
      ],
      licenses: licenseChoice(entry.license ?? ""),
    });
    if (name in (manifest.dependencies ?? {})) dependencies.get(npmReference(manifest)).add(reference);
  }
}

/** Returns a component with its targets as properties; a component that is linked for all targets has none. */
function withTargets({ targets: linked, ...component }) {
  if (linked === undefined || linked.size === targets.length) return component;
  return { ...component, properties: [...linked].sort().map((value) => ({ name: TARGET, value })) };
}

/** Returns a serial number in the form of a UUID, derived from the content. */
function serialNumber(content) {
  const hex = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  const uuid = hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-8$3-8$4-$5");
  return `urn:uuid:${uuid}`;
}

function byReference([one], [other]) {
  return one < other ? -1 : 1;
}

const self = npmReference(manifest);
dependencies.set(self, new Set());
addPlatformPackages();
addNpmPackages();

const content = {
  metadata: {
    lifecycles: [{ phase: "build" }],
    component: {
      "bom-ref": self,
      type: "library",
      name: manifest.name,
      version: manifest.version,
      description: manifest.description,
      licenses: licenseChoice(manifest.license),
      purl: self,
    },
  },
  components: [...components].sort(byReference).map(([, component]) => withTargets(component)),
  dependencies: [...dependencies].sort(byReference).map(([ref, on]) => ({ ref, dependsOn: [...on].sort() })),
};
const bom = {
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  serialNumber: serialNumber(content),
  version: 1,
  ...content,
};
const text = `${JSON.stringify(bom, undefined, 2)}\n`;
const [file] = process.argv.slice(2);
if (file === undefined) process.stdout.write(text);
else writeFileSync(file, text);
