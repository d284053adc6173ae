// A server on a real socket that injects faults and counts connections and requests.

import { EventEmitter, once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { grantBody, httpResponse } from "./table.mjs";

/** Starts a server that grants tokens; `setFault(fault)` makes it faulty from then on. */
export async function startServer(
  t,
  source,
  { validCertificate, otherCertificate },
  redirectOrigin,
  address = "127.0.0.1",
) {
  const server = new FaultyServer(source, { validCertificate, otherCertificate }, redirectOrigin);
  t.teardown(() => server.close());
  await server.listen(address);
  return server;
}

class FaultyServer extends EventEmitter {
  /** The number of requests whose header has arrived since the fault was set. */
  requests = 0;
  connections = 0;
  #fault;
  #remaining = Number.POSITIVE_INFINITY;
  #listener;
  #sockets = new Set();
  #options;
  #redirectOrigin;
  #isTls;

  constructor(source, { validCertificate, otherCertificate }, redirectOrigin) {
    super();
    const keys = ({ keyPem, pem }) => ({ key: keyPem, cert: pem });
    this.#options = { validCertificate: keys(validCertificate), otherCertificate: keys(otherCertificate) };
    this.#redirectOrigin = redirectOrigin;
    this.#isTls = source.tls !== undefined;
    this.#listener = net.createServer((socket) => this.#accept(socket));
  }

  async listen(address) {
    this.#listener.listen(0, address);
    await once(this.#listener, "listening");
    const { port } = this.#listener.address();
    this.origin = `${this.#isTls ? "https" : "http"}://${address}:${port}`;
  }

  isConnected() {
    return this.#sockets.size > 0;
  }

  /** Injects this fault the next `times` times, then grants tokens again. */
  async setFault(fault, times = Number.POSITIVE_INFINITY) {
    this.#fault = fault;
    this.#remaining = times;
    this.requests = 0;
    this.connections = 0;
    if (fault.refuseConnections) await this.close();
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#listener.listening) return;
    this.#listener.close();
    await once(this.#listener, "close");
  }

  #accept(raw) {
    this.connections += 1;
    this.#track(raw);
    const fault = this.#remaining > 0 ? this.#fault : undefined;
    if (fault?.onConnect && (fault.plain || !this.#isTls)) {
      this.#remaining -= 1;
      this.#reportInjected();
      raw.resume();
      fault.onConnect(raw);
      return;
    }
    if (!this.#isTls) {
      this.#readRequest(raw, raw);
      return;
    }
    const options = this.#options[fault?.certificate ?? "validCertificate"];
    const socket = new tls.TLSSocket(raw, { isServer: true, ...options });
    this.#track(socket);
    // A client that rejects the certificate sends an alert or just closes the connection.
    if (fault?.certificate) raw.once("close", () => this.#reportInjected());
    if (fault?.onConnect) this.#ignoreRequest(socket);
    else this.#readRequest(socket, raw);
  }

  /**
   * Reports that a fault was injected, outside of the callback of a socket: Node.js crashes if both sockets of a TLS
   * connection are destroyed in its `secure` event.
   */
  #reportInjected() {
    setImmediate(() => this.emit("injected"));
  }

  /** Completes the handshake and sends nothing after it. */
  #ignoreRequest(socket) {
    this.#remaining -= 1;
    socket.once("secure", () => this.#reportInjected());
    socket.resume();
  }

  #track(socket) {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #readRequest(socket, raw) {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      text = "";
      this.#respond(socket, raw);
    });
  }

  #respond(socket, raw) {
    const fault = this.#remaining > 0 ? this.#fault : undefined;
    this.requests += 1;
    if (fault === undefined) {
      // Connections are not kept alive: closing them when a fault begins would be a different fault.
      socket.end(httpResponse(200, grantBody(), { Connection: "close" }));
      return;
    }
    this.#remaining -= 1;
    fault.inject(socket, { raw, redirectOrigin: this.#redirectOrigin });
    this.#reportInjected();
  }
}
