// Namespaces in which a system file is another one, or IPv6 is disabled, for the started process only.

/** The command prefix that starts a process in which `path` has the content of another file. */
export function ownFileCommand(path, content) {
  return inNamespace(["--mount"], `mount --bind '${content}' '${path}'`);
}

/** The same, and its loopback interface is its own: a port below 1024 is free there. */
export function ownFileAndNetworkCommand(path, content) {
  return inNamespace(["--mount", "--net"], `ip link set lo up && mount --bind '${content}' '${path}'`);
}

/** The command prefix that starts a process whose loopback interface has no IPv6 address. */
export const withoutIpv6Command = inNamespace(
  ["--net"],
  "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6",
);

function inNamespace(kinds, setUp) {
  return ["unshare", "--map-root-user", ...kinds, "sh", "-c", `${setUp} && exec "$@"`, "sh"];
}
