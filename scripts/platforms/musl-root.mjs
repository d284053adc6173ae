// linux-x64-musl: a root directory in which Node.js is built for musl, as in Alpine's images. The tools that the specs
// start (bash, util-linux, iproute2, a C compiler) are Debian's and run with the glibc that is there too.

import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { unpackPackages } from "./debian.mjs";
import { allLibraries, installNode } from "./node.mjs";
import { runInRoot } from "./other-root.mjs";
import { work } from "./process.mjs";

/** Inside, since `target/platforms` alone is there. */
const NAME_SERVER = join(work, "name-server.mjs");
/** Bookworm's musl 1.2.3 crashes Node.js 24 at its start. */
const RELEASE = "trixie";
const GCC = '#!/bin/sh\nREALGCC=x86_64-linux-gnu-gcc exec musl-gcc "$@"\n';
const LIBRARY = ["base-files", "musl", "musl-dev", "musl-tools"];
/** The tools that specs start. */
const TOOLS = [
  "bash",
  "bsdutils",
  "coreutils",
  "dash",
  "findutils",
  "gcc",
  "git",
  "grep",
  "iproute2",
  "mount",
];
const MORE_TOOLS = ["openssl", "procps", "sed", "tar", "util-linux", "util-linux-extra"];

export function prepare(platform) {
  const packages = [...LIBRARY, ...TOOLS, ...MORE_TOOLS];
  const folder = unpackPackages("musl-root", packages, { release: RELEASE });
  const { version, executable, libraries: ownLibraries } = installNode(platform.name);
  // Node.js, napi's loader and npm find out by these files which C library is there.
  for (const path of [
    "usr/lib/libc.musl-x86_64.so.1",
    "usr/bin/gcc",
    "usr/bin/node",
    "usr/bin/npm",
    "usr/bin/npx",
  ])
    rmSync(join(folder, path), { force: true });
  symlinkSync("ld-musl-x86_64.so.1", join(folder, "usr/lib/libc.musl-x86_64.so.1"));
  rmSync(join(folder, "usr/bin/ldd"), { force: true });
  writeFileSync(join(folder, "usr/bin/ldd"), "#!/bin/sh\necho 'musl libc (x86_64)' >&2\nexit 1\n", {
    mode: 0o755,
  });
  // Libraries that specs compile are for Node.js, and so for musl.
  writeFileSync(join(folder, "usr/bin/gcc"), GCC, { mode: 0o755 });
  symlinkSync(executable, join(folder, "usr/bin/node"));
  for (const name of ["npm", "npx"]) {
    const script = join(executable, `../../lib/node_modules/npm/bin/${name}-cli.js`);
    chmodSync(script, 0o755);
    symlinkSync(script, join(folder, "usr/bin", name));
  }
  shareLibraries(ownLibraries, join(folder, "usr/lib/x86_64-linux-musl"));
  const libraries = ["/usr/lib/x86_64-linux-musl", ...allLibraries(platform.name)];
  writeFileSync(join(folder, "etc/ld-musl-x86_64.path"), `${libraries.join("\n")}\n`);
  writeFileSync(
    join(folder, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  );
  writeFileSync(join(folder, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
  writeFileSync(join(folder, "etc/hosts"), `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${hostname()}\n`);
  copyFileSync(new URL("name-server.mjs", import.meta.url), NAME_SERVER);
  writeFileSync(join(folder, "etc/resolv.conf"), "nameserver 127.0.0.1\n");
  mkdirSync(join(folder, "var/opt"), { recursive: true });
  mkdirSync(join(folder, "opt"), { recursive: true });
  return { version, folder };
}

/**
 * Provides the C++ libraries that came with Node.js under their usual names, by which Bun looks for them: Debian has none
 * for musl.
 */
function shareLibraries(source, folder) {
  for (const file of readdirSync(source)) {
    // Python's tools put a hash into each name: libgcc_s-0cd532bd.so.1.
    const [, library, version] = /^(libstdc\+\+|libgcc_s)-[0-9a-f]+\.so\.(\d+)/.exec(file) ?? [];
    if (library === undefined) continue;
    const link = join(folder, `${library}.so.${version}`);
    rmSync(link, { force: true });
    symlinkSync(join(source, file), link);
  }
}

export function run(platform, program, args, options) {
  const { folder } = prepare(platform);
  const withNameServer = 'node "$0" & exec "$@"';
  return runInRoot(folder, "sh", ["-c", withNameServer, NAME_SERVER, program, ...args], options);
}
