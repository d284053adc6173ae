// A mount namespace with empty directories in place of Azure Arc's, which are at fixed paths that belong to root. Only
// the started process sees them, and they are removed when it ends.

import { spawnSync } from "node:child_process";

const MOUNT_DIRECTORIES = "mount -t tmpfs none /opt && mount -t tmpfs none /var/opt";

/** The command prefix that starts a process in such a namespace. */
export const namespaceCommand = [
  "unshare",
  "--map-root-user",
  "--mount",
  "sh",
  "-c",
  `${MOUNT_DIRECTORIES} && exec "$@"`,
  "sh",
];

const [command, ...rest] = namespaceCommand;
const attempt = process.platform === "linux" ? spawnSync(command, [...rest, "true"]) : undefined;

/** Why namespaces are unavailable on this machine; undefined if they are available. */
export const skipReason =
  attempt?.status === 0
    ? undefined
    : `no mount namespace: ${attempt?.error ?? attempt?.stderr ?? "Linux only"}`.trim();

/** The directory in which the agent stores its key files. */
export const KEY_DIRECTORY = "/var/opt/azcmagent/tokens";
