// An HTTP or HTTPS server that tracks the TCP connection of each request, and can close all connections.

import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { CertificateWithKey } from "managed-identity-native/emulator";
import { clientHost } from "./host-names.js";

// A test may connect a thousand clients in one tick. With Node's default of 511 some of them would wait for a second.
const BACKLOG = 4096;

export interface ServerOptions {
  /** The address to listen on. */
  readonly host: string;
  /** 0: a free port. */
  readonly port: number;
  /** With a certificate the server uses https. */
  readonly certificate: CertificateWithKey | undefined;
  readonly tls: Omit<SecureContextOptions, "cert" | "key"> | undefined;
}

/** Answers a request. `connection` is the TCP connection below TLS; undefined if it has closed. */
export type RequestHandler = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  connection: Socket | undefined,
) => void;

export class EndpointServer {
  /** Scheme, address and port. */
  readonly origin: string;
  readonly #server: ReturnType<typeof createServer>;
  // By remote address. A connection with TLS can be reset only by its TCP socket.
  readonly #connections: ReadonlyMap<string, Socket>;

  /** Resolves once the server listens. */
  static async listen(options: ServerOptions): Promise<EndpointServer> {
    const server = createServer(options);
    const connections = trackConnections(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: options.host, port: options.port, backlog: BACKLOG }, resolve);
    });
    const { port } = server.address() as AddressInfo;
    const scheme = options.certificate === undefined ? "http" : "https";
    return new EndpointServer(`${scheme}://${clientHost(options.host)}:${port}`, server, connections);
  }

  private constructor(
    origin: string,
    server: ReturnType<typeof createServer>,
    connections: ReadonlyMap<string, Socket>,
  ) {
    this.origin = origin;
    this.#server = server;
    this.#connections = connections;
  }

  onRequest(handle: RequestHandler): void {
    this.#server.on("request", (incoming, outgoing) => {
      handle(incoming, outgoing, this.#connections.get(remoteAddress(incoming.socket)));
    });
  }

  /** Stops listening and closes every connection. */
  async close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#connections.values()) socket.destroy();
    await stopped;
  }
}

function createServer({ certificate, tls }: ServerOptions) {
  const server =
    certificate === undefined
      ? createHttpServer()
      : createHttpsServer({ ...tls, cert: certificate.pem, key: certificate.keyPem });
  // Keep idle connections open. Tests would be flaky if one closed just when a client reuses it.
  server.keepAliveTimeout = 0;
  return server;
}

/** Returns the open TCP connections by remote address, as a map that changes with them. */
function trackConnections(server: ReturnType<typeof createServer>): ReadonlyMap<string, Socket> {
  const connections = new Map<string, Socket>();
  server.on("connection", (socket: Socket) => {
    const remote = remoteAddress(socket);
    connections.set(remote, socket);
    socket.on("close", () => {
      // Another connection may have the same address by now.
      if (connections.get(remote) === socket) connections.delete(remote);
    });
  });
  return connections;
}

function remoteAddress({ remoteAddress: address, remotePort }: Socket): string {
  return `${address} ${remotePort}`;
}
