// win32-x64-msvc: programs are run by Wine 10, in a root directory with Debian's packages. Wine 8 crashes Node.js 24.

import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { unpackPackages } from "./debian.mjs";
import { installNode } from "./node.mjs";
import { runInRoot } from "./other-root.mjs";
import { read } from "./process.mjs";

const PACKAGES = ["base-files", "bash", "coreutils", "dash", "libgnutls30t64", "mount", "wine", "wine64"];
const LOADER = "/usr/lib/wine/wine64";
const SERVER = "/usr/lib/wine/wineserver64";
/**
 * Starts the server, then the program, and ends with either: without the server the program would hang. As the first process
 * of its namespace, the shell also collects the processes that have ended.
 */
const WITH_SERVER = `
"$0" --foreground --persistent &
server=$!
"$@" &
wait -n -p ended
status=$?
[ "$ended" = "$server" ] && echo "Wine's server ended with $status" >&2 && exit 1
exit $status
`;
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
    const initialize = `${LOADER} wineboot --init; exec ${SERVER} -w`;
    runInRoot(folder, "sh", ["-c", initialize], { env: ENVIRONMENT });
  }
  const { version, executable } = installNode(platform.name);
  installNpm(dirname(executable));
  return { version, folder, executable };
}

/** Puts npm where Windows has it. It is this machine's own, because npm's package of Node.js lacks it. */
function installNpm(folder) {
  const script = join(folder, "npm.cmd");
  if (existsSync(script)) return;
  const npm = join(read("npm", ["root", "--global"]).trim(), "npm");
  cpSync(npm, join(folder, "node_modules", "npm"), { recursive: true, dereference: true });
  writeFileSync(script, '@"%~dp0node.exe" "%~dp0node_modules\\npm\\bin\\npm-cli.js" %*\r\n');
}

/** The path that Windows programs use for a file of this machine. */
export function windowsPath(file) {
  return file.startsWith("/") ? `Z:${file.replaceAll("/", "\\")}` : file;
}

export function run(platform, program, args, { env, ...options } = {}) {
  const { folder, executable } = prepare(platform);
  const file = windowsPath(program === "node" ? executable : program);
  const command = ["-c", WITH_SERVER, SERVER, LOADER, file, ...args.map(windowsPath)];
  return runInRoot(folder, "bash", command, {
    ...options,
    env: { ...ENVIRONMENT, WINEPATH: windowsPath(dirname(executable)), ...env },
  });
}
