// A port at which nobody ever accepts a connection: what a firewall that drops packets looks like from here.

import { once } from "node:events";
import net from "node:net";
import { startProcess } from "./program.mjs";

/** Starts a process that listens but accepts nobody, with its queue of connections full; gives its port. */
export async function startDeaf(t) {
  const program = startProcess(t, ({ require, report }) => {
    const server = require("node:net").createServer();
    server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
      report(server.address().port);
      // The event loop stands still from here on: nothing is accepted any more.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });
  });
  const port = await program.next();
  // The queue holds one connection more than it says.
  for (const _ of [1, 2]) {
    const socket = net.connect({ host: "127.0.0.1", port });
    t.teardown(() => socket.destroy());
    socket.on("error", () => undefined);
    await once(socket, "connect");
  }
  return port;
}
