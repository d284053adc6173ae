// A port at which nobody ever accepts a connection: what a firewall that drops packets looks like from here.

import { once } from "node:events";
import net from "node:net";
import { startProcess } from "./program.mjs";

/**
 * Starts a process that listens at these addresses but accepts no connection, with its queues of connections full; gives
 * its port, which is `port` unless that is 0.
 */
export async function startUnresponsiveServer(t, hosts = ["127.0.0.1"], port = 0) {
  const program = startProcess(
    t,
    async ({ require, report, argument: { hosts, port } }) => {
      const { createServer } = require("node:net");
      for (const host of hosts) {
        const server = createServer();
        await new Promise((resolve) => server.listen({ host, port, backlog: 1 }, resolve));
        port = server.address().port;
      }
      report(port);
      // The event loop stands still from here on: nothing is accepted any more.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
    { argument: { hosts, port } },
  );
  const listening = await program.next();
  for (const host of hosts) {
    // The queue holds one connection more than it says.
    for (const _ of [1, 2]) {
      const socket = net.connect({ host, port: listening });
      t.teardown(() => socket.destroy());
      socket.on("error", () => undefined);
      await once(socket, "connect");
    }
  }
  return listening;
}
