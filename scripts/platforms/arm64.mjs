// linux-arm64-gnu and linux-arm64-musl: programs are run by qemu, which finds their C library in a folder of its own.

import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RELEASE, unpackPackages } from "./debian.mjs";
import { installNode } from "./node.mjs";
import { run as runProgram } from "./process.mjs";

const LIBRARIES = {
  "linux-arm64-gnu": { packages: ["libc6", "libgcc-s1", "libstdc++6"], release: RELEASE },
  /** Bookworm's musl 1.2.3 crashes Node.js 24 at its start. */
  "linux-arm64-musl": { packages: ["musl"], release: "trixie" },
};

export function prepare({ name }) {
  const { packages, release } = LIBRARIES[name];
  const prefix = unpackPackages(`${name}-root`, packages, { release, architecture: "arm64" });
  const emulator = join(unpackPackages("qemu", ["qemu-user-static"]), "usr/bin/qemu-aarch64-static");
  const { version, executable, libraries } = installNode(name);
  if (name.endsWith("-musl")) {
    const link = join(prefix, "lib");
    if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() !== true) {
      rmSync(link, { recursive: true, force: true });
      symlinkSync("usr/lib", link);
    }
    // napi's loader finds out by this file which C library is there.
    mkdirSync(join(prefix, "usr/bin"), { recursive: true });
    if (!existsSync(join(prefix, "usr/bin/ldd"))) writeFileSync(join(prefix, "usr/bin/ldd"), "musl\n");
  }
  return { version, executable, emulator, prefix, libraries };
}

export function run(platform, program, args, { env = process.env, ...options } = {}) {
  const { executable, emulator, prefix, libraries } = prepare(platform);
  const search = libraries === undefined ? [] : ["-E", `LD_LIBRARY_PATH=${libraries}`];
  return runProgram(emulator, ["-L", prefix, ...search, program === "node" ? executable : program, ...args], {
    ...options,
    env,
  });
}
