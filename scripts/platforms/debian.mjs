// Unpacks Debian's packages, with what they depend on, into folders of their own. Nothing is installed into the machine,
// and no script of a package is run: mmdebstrap only downloads, checks the archive's signatures, and unpacks.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { read, run, StepError, work } from "./process.mjs";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** The release whose packages the script uses, unless a caller names another. */
export const RELEASE = "bookworm";

/**
 * Unpacks `packages` and their dependencies into `target/platforms/<name>` and returns that folder. A second call with
 * the same packages does nothing.
 */
export function unpackPackages(name, packages, { release = RELEASE, architecture = "amd64" } = {}) {
  const folder = join(work, name);
  const contents = [release, architecture, ...packages].join(" ");
  const stamp = `${folder}.packages`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === contents) return folder;
  rmSync(folder, { recursive: true, force: true });
  run(mmdebstrap(), [
    "--quiet",
    "--mode=root",
    "--variant=extract",
    "--format=directory",
    `--architectures=${architecture}`,
    `--include=${packages.join(",")}`,
    release,
    folder,
    ...sources(release),
  ]);
  writeFileSync(stamp, contents);
  return folder;
}

/** The lines of an apt sources list for a release, on the mirrors that this machine itself uses. */
function sources(release) {
  const lines = read("apt-get", ["indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"]).split("\n");
  const mirror = (label) => lines.find((line) => line.endsWith(` Debian ${label}`))?.split(" ")[0];
  const main = mirror("Debian");
  if (main === undefined)
    throw new StepError("apt has no archive of Debian: run `apt-get update` on a Debian machine");
  const line = (uri, suite) => `deb [signed-by=${KEYRING}] ${uri} ${suite} main`;
  const security = mirror("Debian-Security");
  return [line(main, release), ...(security === undefined ? [] : [line(security, `${release}-security`)])];
}

/** The program is a script in a package without compiled code, and so is used where it is unpacked. */
function mmdebstrap() {
  const folder = join(work, "mmdebstrap");
  const program = join(folder, "usr", "bin", "mmdebstrap");
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    run("apt-get", ["download", "mmdebstrap"], { cwd: folder });
    const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
    run("dpkg-deb", ["--extract", join(folder, file), folder]);
  }
  return program;
}
