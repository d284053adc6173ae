// A mount namespace with empty directories in place of Azure Arc's, which are at fixed paths that belong to root. Only
// the started process sees them, and they are removed when it ends.

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

/** The directory in which the agent stores its key files. */
export const KEY_DIRECTORY = "/var/opt/azcmagent/tokens";
