// A server that commits faults, on a real socket, and counts what arrives.

import { EventEmitter, once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { answer, grant } from "./table.mjs";

/** Starts one that grants tokens; `commit(fault)` makes it faulty from then on. */
export async function startServer(t, source, { right, wrong }, elsewhere, address = "127.0.0.1") {
  const server = new FaultyServer(source, { right, wrong }, elsewhere);
  t.teardown(() => server.close());
  await server.listen(address);
  return server;
}

class FaultyServer extends EventEmitter {
  /** Requests whose header has arrived, since the fault began. */
  requests = 0;
  connections = 0;
  #fault;
  #left = Number.POSITIVE_INFINITY;
  #listener;
  #sockets = new Set();
  #options;
  #elsewhere;
  #isTls;

  constructor(source, { right, wrong }, elsewhere) {
    super();
    const keys = ({ keyPem, pem }) => ({ key: keyPem, cert: pem });
    this.#options = { right: keys(right), wrong: keys(wrong) };
    this.#elsewhere = elsewhere;
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

  /** From now on this fault, as often as `times` says; then tokens again. */
  async commit(fault, times = Number.POSITIVE_INFINITY) {
    this.#fault = fault;
    this.#left = times;
    this.requests = 0;
    this.connections = 0;
    if (fault.refuse) await this.close();
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#listener.listening) return;
    this.#listener.close();
    await once(this.#listener, "close");
  }

  #accept(raw) {
    this.connections += 1;
    this.#keep(raw);
    const fault = this.#left > 0 ? this.#fault : undefined;
    if (fault?.onConnect && (fault.plain || !this.#isTls)) {
      this.#left -= 1;
      this.emit("met");
      raw.resume();
      fault.onConnect(raw);
      return;
    }
    if (!this.#isTls) {
      this.#serve(raw, raw);
      return;
    }
    const options = this.#options[fault?.certificate ?? "right"];
    const socket = new tls.TLSSocket(raw, { isServer: true, ...options });
    this.#keep(socket);
    // A client that does not like the certificate says so, or just goes.
    if (fault?.certificate) raw.once("close", () => this.emit("met"));
    if (fault?.onConnect) this.#leaveAlone(socket);
    else this.#serve(socket, raw);
  }

  /** The handshake is all that a client gets. */
  #leaveAlone(socket) {
    this.#left -= 1;
    socket.once("secure", () => this.emit("met"));
    socket.resume();
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #serve(socket, raw) {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      text = "";
      this.#answer(socket, raw);
    });
  }

  #answer(socket, raw) {
    const fault = this.#left > 0 ? this.#fault : undefined;
    this.requests += 1;
    if (fault === undefined) {
      // Not kept alive: a connection that is closed when a fault begins would be another fault.
      socket.end(answer(200, grant(), { Connection: "close" }));
      return;
    }
    this.#left -= 1;
    fault.commit(socket, { raw, elsewhere: this.#elsewhere });
    this.emit("met");
  }
}
