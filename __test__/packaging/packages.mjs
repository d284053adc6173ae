// The packages as a release publishes them: napi's own preparation in a copy of this folder, then `npm pack`. Only
// the add-on of this machine is a real one.

import { execFile } from "node:child_process";
import { copyFileSync, cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The file with the notices about linked crates, which a release puts beside each add-on. */
export const NOTICES = "THIRD-PARTY-NOTICES.txt";
export const root = fileURLToPath(new URL("../../", import.meta.url));

const run = promisify(execFile);
const manifest = createRequire(import.meta.url).resolve("@napi-rs/cli/package.json");
const napi = join(dirname(manifest), "dist", "cli.js");
/** Folders that are installed or built, which a package cannot contain. */
const LEFT_BEHIND = new Set(["node_modules", "target", ".git"]);

/** The folder below npm/ for this machine. */
export function platformFolder() {
  const { platform, arch } = process;
  if (platform === "win32") return `win32-${arch}-msvc`;
  if (platform !== "linux") return `${platform}-${arch}`;
  return `linux-${arch}-${isGlibc() ? "gnu" : "musl"}`;
}

export function isGlibc() {
  return process.report.getReport().header.glibcVersionRuntime !== undefined;
}

/**
 * Packs the package and the platform package of this machine into `folder`. Each has its `manifest`, its `tarball`
 * and its `files`; `source` is what it was packed from.
 */
export async function packReleased(folder) {
  const copy = join(folder, "release");
  const name = platformFolder();
  copyWithout(root, copy);
  for (const target of skeletons(copy)) {
    const path = join(copy, "npm", target, readManifest(join(copy, "npm", target)).main);
    writeFileSync(join(dirname(path), NOTICES), "a stand-in for what cargo-about writes\n");
    if (target === name) copyFileSync(builtAddOn(basename(path)), path);
    else writeFileSync(path, `a stand-in for the add-on of ${target}\n`);
  }
  await run(
    process.execPath,
    [napi, "prepublish", "--tag-style", "npm", "--no-gh-release", "--skip-optional-publish"],
    {
      cwd: copy,
    },
  );
  return {
    package: await pack(copy, folder),
    platform: await pack(join(copy, "npm", name), folder),
  };
}

/** The names of the folders below npm/. */
export function skeletons(folder) {
  const { targets } = readManifest(folder).napi;
  return targets.map((triple) => {
    const [architecture, , system, library] = triple.split("-");
    const arch = { aarch64: "arm64", x86_64: "x64" }[architecture];
    return [{ windows: "win32" }[system] ?? system, arch, library].filter(Boolean).join("-");
  });
}

export function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function copyWithout(from, to) {
  const wanted = (path) => {
    const [first, ...rest] = relative(from, path).split(sep);
    return !LEFT_BEHIND.has(first) && !LEFT_BEHIND.has(rest.at(-1)) && !path.endsWith(".node");
  };
  cpSync(from, to, { recursive: true, filter: wanted });
}

function builtAddOn(name) {
  const built = join(root, name);
  if (!existsSync(built)) throw new Error(`${name} is not there: run "npm run build" first`);
  return built;
}

async function pack(source, folder) {
  const options = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  // npm on Windows is a script, which only a shell can start.
  const { stdout } = await run("npm", options, { cwd: source, shell: process.platform === "win32" });
  // npm 11 writes a list, npm 12 an object by name.
  const [{ filename, files }] = Object.values(JSON.parse(stdout));
  return {
    source,
    manifest: readManifest(source),
    tarball: join(folder, filename),
    files: files.map(({ path }) => path).sort(),
  };
}
