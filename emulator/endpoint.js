"use strict";

// A running endpoint. It listens on the loopback interface. Each request is logged, held if a test says so, answered by
// the source, and changed by the scripted fault.

const http = require("node:http");
const https = require("node:https");
const { setTimeout: sleep } = require("node:timers/promises");
const { FaultScript, applyFault, scriptedExpiry } = require("./fault-script.js");
const { readRequest } = require("./read-request.js");
const { RequestLog } = require("./request-log.js");
const { TokenSourceError, createIssuer } = require("./token-issuer.js");
const { writeResponse } = require("./write-response.js");
const { createCertificate } = require("./x509/certificate.js");

// Never another interface, because the tokens look like credentials.
const ADDRESS = "127.0.0.1";
// A test may connect a thousand clients in one tick. With Node's default of 511 some of them would wait for a second.
const BACKLOG = 4096;

class Endpoint {
  #settings;
  #keys;
  #issueToken;
  #server;
  #source;
  #log = new RequestLog();
  #script = new FaultScript();
  #closing = new AbortController();
  #closed;
  // By remote port. A connection with TLS can be reset only by its TCP socket.
  #connections = new Map();

  constructor(settings, keys) {
    this.#settings = settings;
    this.#keys = keys;
    this.#issueToken = createIssuer(settings, keys, this.#closing.signal);
    this.source = settings.source;
    this.publicKey = keys.publicKey;
    this.requests = this.#log.requests;
  }

  async open() {
    const { definition, port, secure } = this.#settings;
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
      this.#source = definition.create(this.#context());
    } catch (error) {
      await this.close();
      throw error;
    }
    this.url = this.origin + this.#source.path;
    this.env = this.#source.env;
    this.issueAssertion = this.#source.issueAssertion;
  }

  next(faults) {
    this.#script.next(faults);
  }

  always(fault) {
    this.#script.always(fault);
  }

  hold() {
    return this.#log.hold();
  }

  waitForRequests(count) {
    return this.#log.waitForCount(count);
  }

  close() {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  async #shutDown() {
    this.#closing.abort();
    this.#log.close();
    const stopped = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    for (const socket of this.#connections.values()) socket.destroy();
    await stopped;
    await this.#source?.close?.();
  }

  #createServer(credentials) {
    const { tls } = this.#settings;
    const serve = (incoming, outgoing) => {
      // A client may disconnect during its request.
      this.#serve(incoming, outgoing).catch(() => outgoing.destroy());
    };
    const server = credentials
      ? https.createServer({ ...tls, cert: credentials.pem, key: credentials.keyPem }, serve)
      : http.createServer(serve);
    // Keep idle connections open. Tests would be flaky if one closed just when a client reuses it.
    server.keepAliveTimeout = 0;
    server.on("connection", (socket) => {
      const { remotePort } = socket;
      this.#connections.set(remotePort, socket);
      socket.on("close", () => {
        // Another connection may have the same port by now.
        if (this.#connections.get(remotePort) === socket) this.#connections.delete(remotePort);
      });
    });
    return server;
  }

  async #serve(incoming, outgoing) {
    const connection = this.#connections.get(incoming.socket.remotePort);
    const request = await readRequest(incoming);
    const document = this.#source.discoveryDocument?.(request);
    if (document) {
      writeResponse(outgoing, connection, document);
      return;
    }
    const fault = this.#script.take();
    this.#log.add(request);
    await this.#log.waitUntilReleased();
    if (fault.delay > 0) await sleep(fault.delay, undefined, { signal: this.#closing.signal });
    if (outgoing.destroyed || this.#closing.signal.aborted) return;
    try {
      const response = await this.#respond(request, fault);
      if (outgoing.destroyed) return; // The client disconnected, or the endpoint closed, during a slow `tokens` call.
      request.status = writeResponse(outgoing, connection, response, fault);
    } catch (error) {
      // A function of the test threw, or a scripted header is invalid. Show the test's author the reason.
      const body = `emulator: ${error.stack ?? error}`;
      request.status = writeResponse(outgoing, connection, { status: 500, headers: {}, body });
    }
  }

  async #respond(request, fault) {
    const { clock, definition } = this.#settings;
    const nowMs = clock();
    const times = { nowMs, expiresOn: scriptedExpiry(fault, nowMs) };
    const response = await this.#answer(request, (tokenRequest) => this.#issueToken(tokenRequest, times));
    return applyFault(fault, response, definition.errorResponse, request);
  }

  async #answer(request, issueToken) {
    try {
      return await this.#source.answer(request, issueToken);
    } catch (error) {
      if (!(error instanceof TokenSourceError)) throw error;
      return this.#settings.definition.errorResponse(error.status, error.message);
    }
  }

  /** Returns what a source needs of its endpoint. */
  #context() {
    const { clock, identities, resources, secret, tenantId, tokensDirectory } = this.#settings;
    const known = resources?.map(normalizeResource);
    return {
      origin: this.origin,
      certificate: this.certificate,
      identities,
      secret,
      tenantId,
      tokensDirectory,
      keys: this.#keys,
      clock,
      isKnownResource: (resource) => known === undefined || known.includes(normalizeResource(resource)),
    };
  }
}

/** Entra compares resources without case and without one trailing slash. */
function normalizeResource(resource) {
  return resource.toLowerCase().replace(/\/$/, "");
}

// Node.js 20.0 to 20.3 lack this symbol.
if (Symbol.asyncDispose) {
  Object.defineProperty(Endpoint.prototype, Symbol.asyncDispose, { value: Endpoint.prototype.close });
}

module.exports = { Endpoint };
