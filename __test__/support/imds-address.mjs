// IMDS's own address, for a process of its own: a network namespace, in which nothing but the process itself can answer
// there. It vanishes with the process.

import { spawnSync } from "node:child_process";

const ADDRESS = "169.254.169.254";
const LOOPBACK = `ip addr add ${ADDRESS}/32 dev lo && ip link set lo up`;
/** A cable whose other end is loose: packets leave for the address, and nothing answers. */
const NO_ANSWER =
  "ip link add veth0 type veth peer name veth1 && ip addr add 169.254.1.1/16 dev veth0 && ip link set veth0 up && ip link set veth1 up";

function inNamespace(setUp) {
  return ["unshare", "--map-root-user", "--net", "sh", "-c", `${setUp} && exec "$@"`, "sh"];
}

/** What to put before the command of a process that is to have the address. */
export const ownAddress = inNamespace(LOOPBACK);
/** The same where no connection to the address is ever accepted or refused. */
export const unansweredAddress = inNamespace(`${LOOPBACK.split(" && ")[1]} && ${NO_ANSWER}`);

/** Why there can be no such process here; undefined when there can. */
export const skipReason = reason(ownAddress);
export const reasonAgainstUnanswered = reason(unansweredAddress);

function reason([command, ...rest]) {
  if (process.platform !== "linux") return "no network namespace: Linux only";
  const { status, error, stderr } = spawnSync(command, [...rest, "true"]);
  return status === 0 ? undefined : `no network namespace: ${error ?? stderr}`.trim();
}
