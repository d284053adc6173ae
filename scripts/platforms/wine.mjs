// win32-x64-msvc: programs are run by Wine 10, in a root directory with Debian's packages. Wine 8 crashes Node.js 24.

import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { unpackPackages } from "./debian.mjs";
import { installNode } from "./node.mjs";
import { runInRoot } from "./other-root.mjs";

const PACKAGES = ["base-files", "bash", "coreutils", "dash", "libgnutls30t64", "mount", "wine", "wine64"];
const LOADER = "/usr/lib/wine/wine64";
const ENVIRONMENT = {
  NODE_SKIP_PLATFORM_CHECK: "1",
  WINEDEBUG: "-all",
  WINELOADER: LOADER,
  WINEPREFIX: "/root/wine",
  XDG_RUNTIME_DIR: "/tmp",
};

export function prepare(platform) {
  const folder = unpackPackages("wine-root", PACKAGES, { release: "trixie" });
  const system = join(folder, "root/wine/drive_c/windows/system32");
  const registry = join(folder, "root/wine/system.reg");
  if (!existsSync(registry)) {
    rmSync(join(folder, "root/wine"), { recursive: true, force: true });
    mkdirSync(system, { recursive: true });
    // Debian's Wine needs this library of another package, which no script has put there.
    copyFileSync(join(folder, "usr/x86_64-w64-mingw32/lib/zlib1.dll"), join(system, "zlib1.dll"));
    writeFileSync(join(folder, "etc/hosts"), `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${hostname()}\n`);
    // The second command waits until the registry is written.
    const initialize = `${LOADER} wineboot --init; exec /usr/lib/wine/wineserver64 -w`;
    runInRoot(folder, "sh", ["-c", initialize], { env: ENVIRONMENT });
  }
  const { version, executable } = installNode(platform.name);
  return { version, folder, executable };
}

/** The path that Windows programs use for a file of this machine. */
export function windowsPath(file) {
  return file.startsWith("/") ? `Z:${file.replaceAll("/", "\\")}` : file;
}

export function run(platform, program, args, { env, ...options } = {}) {
  const { folder, executable } = prepare(platform);
  const file = windowsPath(program === "node" ? executable : program);
  return runInRoot(folder, LOADER, [file, ...args.map(windowsPath)], {
    ...options,
    env: { ...ENVIRONMENT, ...env },
  });
}
