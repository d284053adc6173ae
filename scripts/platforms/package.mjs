// A copy of the repository for one platform, with that platform's add-on only.

import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { addonFile } from "./compile.mjs";
import { read, root, run, StepError, work } from "./process.mjs";

/** Makes the copy and returns its folder. */
export function copyRepository(platform) {
  const addon = addonFile(platform);
  if (!existsSync(addon)) throw new StepError(`${addon} is missing: run the step "build" first`);
  const folder = join(work, platform.name, "package");
  rmSync(folder, { recursive: true, force: true });
  run("npm", ["run", "build:js"]);
  const files = read("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const file of files.split("\0").filter((each) => each !== "" && existsSync(join(root, each)))) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    copyFileSync(join(root, file), join(folder, file));
  }
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
  copyFileSync(addon, join(folder, `managed-identity-native.${platform.name}.node`));
  // Hard links where the file system allows them: the folder has tens of thousands of files.
  run("cp", ["--archive", "--link", join(root, "node_modules"), join(folder, "node_modules")]);
  addPackages(platform, folder);
  shareDownloads(folder);
  return folder;
}

/** Adds the packages of the folder's lock file with compiled code for the platform, which npm leaves out on this machine. */
export function addPackages(platform, folder) {
  for (const entry of packagesFor(platform, folder)) addPackage(folder, entry);
}

/** Gives all copies the versions of Node.js and the package managers that specs and the check of installations download. */
function shareDownloads(folder) {
  mkdirSync(join(folder, "target"));
  for (const name of ["nodes", "check-installation"]) {
    mkdirSync(join(work, name), { recursive: true });
    symlinkSync(join(work, name), join(folder, "target", name));
  }
}

function packagesFor({ name }, folder) {
  const [system, processor, library] = name.split("-");
  const libc = { gnu: "glibc", musl: "musl" }[library];
  const lock = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
  return Object.entries(lock.packages)
    .filter(
      ([, { os, cpu, libc: libraries }]) =>
        os?.includes(system) &&
        cpu?.includes(processor) &&
        (libraries === undefined || libraries.includes(libc)),
    )
    .map(([path, { version, integrity }]) => ({ path, version, integrity }));
}

/** Adds a package unless it is there, in the version of package-lock.json and with its hash, if it has one. */
function addPackage(folder, { path, version, integrity }) {
  if (existsSync(join(folder, path))) return;
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  const store = join(work, "packages", `${name.replace("/", "+")}@${version}`);
  if (!existsSync(store)) {
    mkdirSync(`${store}.part`, { recursive: true });
    run("npm", ["pack", "--silent", `${name}@${version}`, "--pack-destination", `${store}.part`]);
    const tarball = join(`${store}.part`, readdirSync(`${store}.part`)[0]);
    const hash = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
    if (integrity !== undefined && hash !== integrity)
      throw new StepError(`${name}@${version} has another hash than package-lock.json`);
    run("tar", ["--extract", "--file", tarball, "--directory", `${store}.part`, "--strip-components=1"]);
    rmSync(tarball);
    renameSync(`${store}.part`, store);
  }
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  run("cp", ["--archive", "--link", store, join(folder, path)]);
}
