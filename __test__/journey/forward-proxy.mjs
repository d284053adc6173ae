// Runs in a network namespace: passes the connections of a TCP port on loopback to the proxy on a Unix socket, and runs a
// command with that port as its proxy. `node forward-proxy.mjs SOCKET COMMAND…`

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";

const [socket, file, ...args] = process.argv.slice(2);
const server = createServer((client) => {
  const proxy = connect(socket);
  client.on("error", () => proxy.destroy());
  proxy.on("error", () => client.destroy());
  client.pipe(proxy).pipe(client);
});
await once(server.listen(0, "127.0.0.1"), "listening");
const proxy = `http://127.0.0.1:${server.address().port}`;
const env = {
  ...process.env,
  HTTP_PROXY: proxy,
  HTTPS_PROXY: proxy,
  NO_PROXY: "",
  http_proxy: proxy,
  https_proxy: proxy,
  no_proxy: "",
};
const [code] = await once(spawn(file, args, { env, stdio: "inherit" }), "close");
process.exit(code ?? 1);
