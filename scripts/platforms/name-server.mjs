// A name server that says of every name that it does not exist; for root directories whose network is loopback only. The
// resolver of musl waits for an answer where that of glibc notices that nothing listens.

import { createSocket } from "node:dgram";

const PORT = 53;
/** Response, recursion available, no such name (RFC 1035, 4.1.1). */
const FLAGS = 0x8183;

const server = createSocket("udp4");
server.on("message", (query, { port, address }) => {
  const response = Buffer.from(query);
  response.writeUInt16BE(FLAGS, 2);
  server.send(response, port, address);
});
server.bind(PORT, "127.0.0.1");
