// A copy of the repository for one platform, with that platform's add-on only.

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { addonFile } from "./compile.mjs";
import { read, root, run, StepError, work } from "./process.mjs";

/** Makes the copy and returns its folder. `binaries`: packages of npm that are needed in addition to node_modules. */
export function copyRepository(platform, binaries = []) {
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
  for (const name of binaries) addPackage(folder, name);
  return folder;
}

/** Adds a package that npm leaves out on this machine, in the version of package-lock.json. */
function addPackage(folder, name) {
  const destination = join(folder, "node_modules", name);
  if (existsSync(destination)) return;
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  const [{ filename, integrity: found }] = JSON.parse(
    read("npm", ["pack", "--json", `${name}@${version}`, "--pack-destination", work], { cwd: work }),
  );
  if (found !== integrity) throw new StepError(`${name}@${version} has another hash than package-lock.json`);
  mkdirSync(destination, { recursive: true });
  run("tar", [
    "--extract",
    "--file",
    join(work, filename),
    "--directory",
    destination,
    "--strip-components=1",
  ]);
  rmSync(join(work, filename));
}
