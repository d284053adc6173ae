"use strict";

// The running endpoint: it listens on the loopback interface, passes each request through record, gate,
// host and script, and ends cleanly. It must not know what any host says.

const http = require("node:http");
const https = require("node:https");
const { setTimeout: sleep } = require("node:timers/promises");
const { Arrivals } = require("./request-log.js");
const { createCertificate } = require("./x509/certificate.js");
const { reply } = require("./write-response.js");
const { readRequest } = require("./read-request.js");
const { Script, distort, expiryOf } = require("./fault-script.js");
const { TokenRefusal, openIssuer } = require("./token-issuer.js");

// Never another interface: what is handed out here looks like a credential.
const ADDRESS = "127.0.0.1";
// A test may let a thousand clients connect in one tick; Node's 511 would make some of them wait a second.
const BACKLOG = 4096;

class Endpoint {
  #settings;
  #keys;
  #issuer;
  #server;
  #host;
  #arrivals = new Arrivals();
  #script = new Script();
  #closing = new AbortController();
  #closed;
  // By remote port: the TCP connection below a TLS one, which alone can be reset.
  #connections = new Map();

  constructor(settings, keys) {
    this.#settings = settings;
    this.#keys = keys;
    this.#issuer = openIssuer(settings, keys, this.#closing.signal);
    this.source = settings.source;
    this.publicKey = keys.publicKey;
    this.requests = this.#arrivals.requests;
  }

  async open() {
    const { host, port, secure } = this.#settings;
    const credentials = secure ? await createCertificate(this.#settings.certificate) : undefined;
    if (credentials) {
      const { der, pem, thumbprint } = credentials;
      this.certificate = { der, pem, thumbprint };
    }
    this.#server = this.#createServer(credentials);
    await new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host: ADDRESS, port, backlog: BACKLOG }, resolve);
    });
    this.origin = `${secure ? "https" : "http"}://${ADDRESS}:${this.#server.address().port}`;
    try {
      this.#host = host.open(this.#site());
    } catch (error) {
      await this.close();
      throw error;
    }
    this.url = this.origin + this.#host.path;
    this.env = this.#host.env;
    this.issueAssertion = this.#host.issueAssertion;
  }

  next(faults) {
    this.#script.next(faults);
  }

  always(fault) {
    this.#script.always(fault);
  }

  hold() {
    return this.#arrivals.hold();
  }

  waitForRequests(count) {
    return this.#arrivals.reached(count);
  }

  close() {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end() {
    this.#closing.abort();
    this.#arrivals.close();
    const stopped = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    for (const socket of this.#connections.values()) socket.destroy();
    await stopped;
    await this.#host?.close?.();
  }

  #createServer(credentials) {
    const { tls } = this.#settings;
    const serve = (incoming, outgoing) => {
      // A client that leaves in mid-request is no event here.
      this.#serve(incoming, outgoing).catch(() => outgoing.destroy());
    };
    const server = credentials
      ? https.createServer({ ...tls, cert: credentials.pem, key: credentials.keyPem }, serve)
      : http.createServer(serve);
    // An idle connection stays: one that closes just as a client reuses it would make tests flicker.
    server.keepAliveTimeout = 0;
    server.on("connection", (socket) => {
      const { remotePort } = socket;
      this.#connections.set(remotePort, socket);
      socket.on("close", () => {
        // The port of a connection that was reset may be in use again by now.
        if (this.#connections.get(remotePort) === socket) this.#connections.delete(remotePort);
      });
    });
    return server;
  }

  async #serve(incoming, outgoing) {
    const connection = this.#connections.get(incoming.socket.remotePort);
    const request = await readRequest(incoming);
    const document = this.#host.document?.(request);
    if (document) {
      reply(outgoing, connection, document);
      return;
    }
    const fault = this.#script.take();
    this.#arrivals.record(request);
    await this.#arrivals.passage();
    if (fault.delay > 0) await sleep(fault.delay, undefined, { signal: this.#closing.signal });
    if (outgoing.destroyed || this.#closing.signal.aborted) return;
    try {
      const answer = await this.#decide(request, fault);
      if (outgoing.destroyed) return; // The client, or the endpoint, did not wait for a slow token.
      request.status = reply(outgoing, connection, answer, fault);
    } catch (error) {
      // A test's own function threw, or a header is none: its author should read why.
      const body = `emulator: ${error.stack ?? error}`;
      request.status = reply(outgoing, connection, { status: 500, headers: {}, body });
    }
  }

  async #decide(request, fault) {
    const { clock, host } = this.#settings;
    const nowMs = clock();
    const instants = { nowMs, expiresOn: expiryOf(fault, nowMs) };
    const answer = await this.#answer(request, (what) => this.#issuer(what, instants));
    return distort(fault, answer, host.fail, request);
  }

  async #answer(request, issue) {
    try {
      return await this.#host.answer(request, issue);
    } catch (error) {
      if (!(error instanceof TokenRefusal)) throw error;
      return this.#settings.host.fail(error.status, error.message);
    }
  }

  /** What a host may know of the place it stands in. */
  #site() {
    const { identities, resources, secret, tenantId, tokensDirectory } = this.#settings;
    const known = resources?.map(comparable);
    return {
      origin: this.origin,
      certificate: this.certificate,
      identities,
      secret,
      tenantId,
      tokensDirectory,
      keys: this.#keys,
      clock: this.#settings.clock,
      knows: (resource) => known === undefined || known.includes(comparable(resource)),
    };
  }
}

/** Entra finds a resource with or without a last slash, in any case. */
function comparable(resource) {
  return resource.toLowerCase().replace(/\/$/, "");
}

// Node 20.0 to 20.3 have no such symbol.
if (Symbol.asyncDispose) {
  Object.defineProperty(Endpoint.prototype, Symbol.asyncDispose, { value: Endpoint.prototype.close });
}

module.exports = { Endpoint };
