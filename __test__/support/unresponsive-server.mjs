// A port on which no connection is ever accepted, as behind a firewall that drops packets.

import { once } from "node:events";
import net from "node:net";
import { startProcess } from "./child-program.mjs";

/**
 * Starts a process that listens on these addresses with full accept queues, and returns its port. The system chooses
 * the port if `port` is 0.
 */
export async function startUnresponsiveServer(t, hosts = ["127.0.0.1"], port = 0) {
  const program = startProcess(
    t,
    async ({ require, report, argument: { hosts, port } }) => {
      const { once } = require("node:events");
      const { createServer } = require("node:net");
      /** Listens on all addresses with one port, and returns it; undefined if another program has it at one of them. */
      const listen = async () => {
        const servers = [];
        try {
          for (const host of hosts) {
            const [{ port: first = port } = {}] = servers.map((server) => server.address());
            const server = createServer().listen({ host, port: first, backlog: 1 });
            await once(server, "listening");
            servers.push(server);
          }
          return servers[0].address().port;
        } catch (error) {
          if (error.code !== "EADDRINUSE" || port !== 0) throw error;
          for (const server of servers) server.close();
          return undefined;
        }
      };
      let found;
      while (found === undefined) found = await listen();
      report(found);
      // The event loop is blocked from here on, so that no connection is accepted.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
    { argument: { hosts, port } },
  );
  const listening = await program.next();
  for (const host of hosts) {
    // The kernel queues one connection more than the backlog.
    for (const _ of [1, 2]) {
      const socket = net.connect({ host, port: listening });
      t.teardown(() => socket.destroy());
      socket.on("error", () => undefined);
      await once(socket, "connect");
    }
  }
  return listening;
}
