// A network that has nothing but one registry: a command runs in a network namespace whose only way out is a proxy, and
// the proxy connects to the registry's host only. Where namespaces cannot be created, the command has the whole network.

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FORWARDER = fileURLToPath(new URL("forward-proxy.mjs", import.meta.url));

const IN_NAMESPACE = [
  "unshare",
  "--map-root-user",
  "--net",
  "sh",
  "-c",
  'ip link set lo up && exec "$@"',
  "sh",
];

/**
 * Starts the proxy on a Unix socket in `directory`, which the namespace can reach. `prefix` is the command prefix that
 * starts a process in the namespace, and `refused` has the hosts that were not allowed.
 */
export async function startRegistryOnly(directory, registry) {
  const { host, port, protocol, hostname } = new URL(registry);
  const authority = port === "" ? `${hostname}:${protocol === "http:" ? 80 : 443}` : host;
  const socket = join(directory, "proxy.sock");
  const refused = [];
  const proxy = http.createServer((request, response) => {
    const url = new URL(request.url, "http://unknown");
    if (url.host !== host) {
      refused.push(request.url);
      response.writeHead(403).end();
      return;
    }
    const { method, headers } = request;
    const forwarded = http.request(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  });
  proxy.on("connect", (request, client) => {
    client.on("error", () => client.destroy());
    if (request.url !== authority) {
      refused.push(request.url);
      client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      return;
    }
    const [name, number] = [hostname, Number(authority.slice(authority.lastIndexOf(":") + 1))];
    const server = connect(number, name, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(server).pipe(client);
    });
    server.on("error", () => client.destroy());
    client.on("close", () => server.destroy());
  });
  await once(proxy.listen(socket), "listening");
  return {
    prefix: canCreateNamespace() ? [...IN_NAMESPACE, process.execPath, FORWARDER, socket] : [],
    refused,
    close() {
      proxy.close();
      proxy.closeAllConnections();
    },
  };
}

function canCreateNamespace() {
  const [file, ...args] = IN_NAMESPACE;
  return spawnSync(file, [...args, "true"]).status === 0;
}
