// Directories of a test's own in place of those of Azure Arc's agent. On Linux they are at fixed paths that belong to
// root: a process gets them in a mount namespace, where only it sees them, and they are removed when it ends. On Windows
// variables name them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, win32 } from "node:path";

const isWindows = process.platform === "win32";
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

const LINUX_KEYS = "/var/opt/azcmagent/tokens";
const PROGRAM_DATA = "C:\\ProgramData";

/** Variables with which the agent's directories are where they usually are. */
export const usualVariables = isWindows ? { ProgramData: PROGRAM_DATA } : {};

/** Returns the path of a key file in the agent's usual directory. */
export function usualKeyFile(...names) {
  return isWindows ? [windowsKeys(PROGRAM_DATA), ...names].join("\\") : [LINUX_KEYS, ...names].join("/");
}

/**
 * Returns empty directories: `command` and `env` for a process that has them, the path `keys` of the agent's key files,
 * the paths `agents` at which the agent's program is looked for, and another directory `elsewhere`, which exists.
 */
export function arcDirectories(t) {
  if (!isWindows) {
    const agents = ["/opt/azcmagent/bin/himds", "/var/opt/azcmagent/bin/himds"];
    return { command: namespaceCommand, env: {}, keys: LINUX_KEYS, agents, elsewhere: "/opt" };
  }
  const elsewhere = mkdtempSync(join(tmpdir(), "azure-arc-"));
  t.teardown(() => rmSync(elsewhere, { recursive: true, force: true }));
  const [ProgramData, ProgramFiles] = [join(elsewhere, "data"), join(elsewhere, "programs")];
  const agents = [join(ProgramFiles, "AzureConnectedMachineAgent", "himds.exe")];
  return {
    command: [],
    env: { ProgramData, ProgramFiles },
    keys: windowsKeys(ProgramData),
    agents,
    elsewhere,
  };
}

function windowsKeys(programData) {
  return win32.join(programData, "AzureConnectedMachineAgent", "Tokens");
}
