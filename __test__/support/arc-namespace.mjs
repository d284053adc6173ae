// Azure Arc's files lie at fixed places that belong to root. A process of its own gets empty folders of its
// own there, which nobody else sees and which vanish with it: a mount namespace.

import { spawnSync } from "node:child_process";

const FOLDERS = "mount -t tmpfs none /opt && mount -t tmpfs none /var/opt";

/** What to put before the command of a process that is to have such folders. */
export const namespaceCommand = [
  "unshare",
  "--map-root-user",
  "--mount",
  "sh",
  "-c",
  `${FOLDERS} && exec "$@"`,
  "sh",
];

const [command, ...rest] = namespaceCommand;
const tried = process.platform === "linux" ? spawnSync(command, [...rest, "true"]) : undefined;

/** Why there can be no such folders here; undefined when there can. */
export const skipReason =
  tried?.status === 0
    ? undefined
    : `no mount namespace: ${tried?.error ?? tried?.stderr ?? "Linux only"}`.trim();

/** Where the agent puts its keys. */
export const KEY_DIRECTORY = "/var/opt/azcmagent/tokens";
