// Runs a program with another root directory, in namespaces of its own: its mounts and the processes that it starts end
// with it, and its network has no address except loopback's.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { run, work } from "./process.mjs";

/**
 * The arguments are the root, the folder `target/platforms`, the current directory, and the program. `pivot_root` replaces
 * the root of the namespace: in a chroot alone the specs could not create user namespaces.
 */
const ENTER = `
root=$1 work=$2 directory=$3
shift 3
mount --bind "$root" "$root"
ip link set lo up
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount --rbind "$work" "$root$work"
cd "$root"
pivot_root . .
exec chroot . sh -c 'umount --lazy / && cd "$0" && exec "$@"' "$directory" "$@"
`;

/** The folder `target/platforms` has the same path inside and outside. */
export function runInRoot(folder, command, args, { cwd = work, env = {}, ...options } = {}) {
  for (const directory of ["proc", "dev", "sys", "tmp", "root", work])
    mkdirSync(join(folder, directory), { recursive: true });
  return run(
    "unshare",
    [
      ...["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"],
      ...[folder, work, cwd, command, ...args],
    ],
    { env: { HOME: "/root", LANG: "C.UTF-8", PATH: "/usr/bin:/usr/sbin:/bin:/sbin", ...env }, ...options },
  );
}
