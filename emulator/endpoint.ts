// A running endpoint. Each request is checked, logged, held if a test says so, answered by the source, and changed by
// the scripted fault. A refused request is not logged.

import type { KeyObject } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import type {
  AssertionOverrides,
  Emulator,
  EmulatorCertificate,
  EmulatorSource,
  Fault,
} from "managed-identity-native/emulator";
import { applyVariables, type Environment, emptyEarlierVariables } from "./client-environment.js";
import { EndpointServer } from "./endpoint-server.js";
import { applyFault, FaultScript, scriptedExpiry } from "./fault-script.js";
import { certificateNames, RequestGuard } from "./host-names.js";
import type { SigningKeys } from "./jwt.js";
import { notify } from "./notify.js";
import type { Settings } from "./options.js";
import { type ReceivedRequest, readRequest } from "./read-request.js";
import { RequestLog } from "./request-log.js";
import type { Source, SourceContext, SourceResponse } from "./sources/source.js";
import { createIssuer, type TokenIssuer, TokenSourceError, type TokenTimes } from "./token-issuer.js";
import { writeResponse } from "./write-response.js";
import { createCertificate } from "./x509/certificate.js";

/** The status of a request that a web page may have sent. */
const FORBIDDEN = 403;

export class Endpoint implements Emulator {
  readonly source: EmulatorSource;
  readonly publicKey: KeyObject;
  readonly certificate: EmulatorCertificate | undefined;
  readonly requests: ReceivedRequest[];
  readonly origin: string;
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly issueAssertion: ((overrides?: AssertionOverrides) => string) | undefined;
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  readonly #settings: Settings;
  readonly #server: EndpointServer;
  readonly #guard: RequestGuard;
  readonly #source: Source;
  readonly #issueToken: TokenIssuer;
  readonly #log = new RequestLog();
  readonly #script = new FaultScript();
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  /** Resolves once the endpoint listens. */
  static async start(settings: Settings, keys: SigningKeys): Promise<Endpoint> {
    const { allowedHosts, host, port, secure, tls } = settings;
    const names = certificateNames(host, allowedHosts);
    const certificate = secure ? await createCertificate({ names, ...settings.certificate }) : undefined;
    const server = await EndpointServer.listen({ host, port, certificate, tls });
    try {
      return new Endpoint(settings, keys, server, certificate && withoutKey(certificate));
    } catch (error) {
      // The source could not create its files.
      await server.close();
      throw error;
    }
  }

  private constructor(
    settings: Settings,
    keys: SigningKeys,
    server: EndpointServer,
    certificate: EmulatorCertificate | undefined,
  ) {
    const { origin } = server;
    this.#settings = settings;
    this.#server = server;
    this.#guard = new RequestGuard({ ...settings, origin });
    this.#source = settings.definition.create(sourceContext(settings, { certificate, keys, origin }));
    this.#issueToken = createIssuer(settings, keys, this.#closing.signal);
    this.source = settings.source;
    this.publicKey = keys.publicKey;
    this.certificate = certificate;
    this.requests = this.#log.requests;
    this.origin = origin;
    this.url = origin + this.#source.path;
    const { env } = this.#source;
    this.env = { ...emptyEarlierVariables(this.source, env, process.env), ...env };
    this.issueAssertion = this.#source.issueAssertion;
    server.onRequest((incoming, outgoing, connection) => {
      // A client may disconnect during its request.
      this.#serve(incoming, outgoing, connection).catch(() => outgoing.destroy());
    });
  }

  apply(env: Environment): () => void {
    if (typeof env !== "object" || env === null) {
      throw new TypeError("emulator: apply needs an environment, such as process.env.");
    }
    return applyVariables(this.#source.env, env);
  }

  next(faults: Fault | readonly Fault[]): void {
    this.#script.next(faults);
  }

  always(fault: Fault | null): void {
    this.#script.always(fault);
  }

  hold(): () => void {
    return this.#log.hold();
  }

  waitForRequests(count: number): Promise<void> {
    return this.#log.waitForCount(count);
  }

  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  async #shutDown(): Promise<void> {
    this.#closing.abort();
    this.#log.close();
    await this.#server.close();
    this.#source.close?.();
  }

  async #serve(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    connection: Socket | undefined,
  ): Promise<void> {
    const refusal = this.#guard.refusal(incoming.headers);
    if (refusal !== undefined) {
      incoming.resume();
      writeResponse(outgoing, connection, this.#refuse(refusal));
      return;
    }
    const request = await readRequest(incoming);
    const document = this.#source.discoveryDocument?.(request);
    if (document) {
      writeResponse(outgoing, connection, document);
      return;
    }
    const fault = this.#script.take();
    const { delay = 0 } = fault;
    this.#log.add(request);
    await this.#log.waitUntilReleased();
    if (delay > 0) await sleep(delay, undefined, { signal: this.#closing.signal });
    if (outgoing.destroyed || this.#closing.signal.aborted) return;
    try {
      const response = await this.#createResponse(request, fault);
      if (outgoing.destroyed) return; // The client disconnected, or the endpoint closed, during a slow `tokens` call.
      request.status = writeResponse(outgoing, connection, response, fault);
    } catch (error) {
      request.status = writeResponse(outgoing, connection, internalError(error));
    }
  }

  #refuse(reason: string): SourceResponse {
    const { definition, onRefusal } = this.#settings;
    try {
      notify(onRefusal, reason);
      return definition.errorResponse(FORBIDDEN, reason);
    } catch (error) {
      return internalError(error);
    }
  }

  async #createResponse(request: ReceivedRequest, fault: Fault): Promise<SourceResponse> {
    const { clock, definition } = this.#settings;
    const nowMs = clock();
    const response = await this.#sourceResponse(request, { nowMs, expiresOn: scriptedExpiry(fault, nowMs) });
    return applyFault(fault, response, definition.errorResponse, request);
  }

  async #sourceResponse(request: ReceivedRequest, times: TokenTimes): Promise<SourceResponse> {
    try {
      return await this.#source.respond(request, (claims) => this.#issueToken(claims, times));
    } catch (error) {
      if (!(error instanceof TokenSourceError)) throw error;
      return this.#settings.definition.errorResponse(error.status, error.message);
    }
  }
}

/** A function of the test threw, or a scripted header is invalid: shows the test's author the reason. */
function internalError(error: unknown): SourceResponse {
  const reason = error instanceof Error ? (error.stack ?? error) : inspect(error);
  return { status: 500, headers: {}, body: `emulator: ${reason}` };
}

function withoutKey({ der, pem, thumbprint }: EmulatorCertificate): EmulatorCertificate {
  return { der, pem, thumbprint };
}

function sourceContext(
  { clock, identities, onRefusal, resources, secret, tenantId, tokensDirectory }: Settings,
  endpoint: Pick<SourceContext, "certificate" | "keys" | "origin">,
): SourceContext {
  const known = resources?.map(normalizeResource);
  return {
    ...endpoint,
    identities,
    secret,
    tenantId,
    tokensDirectory,
    clock,
    isKnownResource: (resource) => known === undefined || known.includes(normalizeResource(resource)),
    hasSecret: ({ headers }, header) => {
      if (headers[header] === secret) return true;
      const problem = headers[header] === undefined ? "without a secret" : "with another secret";
      notify(
        onRefusal,
        `The emulator refuses requests ${problem}: the header ${header} must have the emulator's.`,
      );
      return false;
    },
  };
}

/** Entra compares resources without case and without one trailing slash. */
function normalizeResource(resource: string): string {
  return resource.toLowerCase().replace(/\/$/, "");
}

// Node.js 20.0 to 20.3 lack this symbol.
if (Symbol.asyncDispose) {
  Object.defineProperty(Endpoint.prototype, Symbol.asyncDispose, { value: Endpoint.prototype.close });
}
