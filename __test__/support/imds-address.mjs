// A network namespace with IMDS's own address, in which only the started process can answer. It is removed when the
// process ends.

const ADDRESS = "169.254.169.254";
const LOOPBACK = `ip addr add ${ADDRESS}/32 dev lo && ip link set lo up`;
/** A network interface whose peer is down: packets to the address are sent and never answered. */
const NO_ANSWER =
  "ip link add veth0 type veth peer name veth1 && ip addr add 169.254.1.1/16 dev veth0 && ip link set veth0 up && ip link set veth1 up";

function inNamespace(setUp) {
  return ["unshare", "--map-root-user", "--net", "sh", "-c", `${setUp} && exec "$@"`, "sh"];
}

/** The command prefix that starts a process with the address on its loopback interface. */
export const ownAddressCommand = inNamespace(LOOPBACK);
/** The same, except that connections to the address are neither accepted nor refused. */
export const unansweredAddressCommand = inNamespace(`${LOOPBACK.split(" && ")[1]} && ${NO_ANSWER}`);
