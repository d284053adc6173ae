// An endpoint at TCP level: the test decides which bytes are sent on a connection, and when.

import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/**
 * A response with a token that contains the name of its resource. `namesResource`: whether the response has a `resource`
 * field; `lifetime` is in seconds.
 */
export function tokenResponse(
  resource,
  { namesResource = true, connection = "keep-alive", lifetime = 86_400 } = {},
) {
  const body = JSON.stringify({
    access_token: `token for ${resource}`,
    expires_in: lifetime,
    token_type: "Bearer",
    ...(namesResource && { resource }),
  });
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: ${connection}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/**
 * Starts an endpoint that calls `onRequest({ socket, resource, path, nth, nthOfConnection })` for each request and
 * `onConnection(socket, nth)` for each connection.
 */
export async function startRawEndpoint(t, onRequest, onConnection = () => {}) {
  const sockets = new Set();
  const counts = { connections: 0, requests: 0 };
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onConnection(socket, counts.connections);
    counts.connections += 1;
    let nthOfConnection = 0;
    let received = "";
    socket.on("data", (data) => {
      received += data;
      for (let end = received.indexOf("\r\n\r\n"); end >= 0; end = received.indexOf("\r\n\r\n")) {
        const path = received.slice(0, end).split(" ")[1];
        received = received.slice(end + 4);
        const resource = new URL(path, "http://127.0.0.1").searchParams.get("resource");
        onRequest({ socket, resource, path, nth: counts.requests, nthOfConnection });
        counts.requests += 1;
        nthOfConnection += 1;
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address();
  return {
    counts,
    sockets,
    port,
    env: { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "not-a-secret" },
  };
}

/** Writes after this delay, unless the connection has ended. Returns the time just before. */
export async function writeAfter(socket, milliseconds, bytes) {
  if (milliseconds > 0) await delay(milliseconds);
  const time = performance.now();
  if (!socket.destroyed) socket.write(bytes);
  return time;
}
