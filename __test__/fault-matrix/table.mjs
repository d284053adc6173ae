// The faults of the matrix, and the rules for their expected results. This file does not depend on how the tests run.

import { gzipSync } from "node:zlib";

const FAILED = "managed_identity_failed_response";
const UNREACHABLE = "managed_identity_unreachable_network";
const TIMED_OUT = "network_unavailable";

/** The body of a valid token response. `lifetime` is in seconds. */
export function grantBody(lifetime = 86_400, secret = "a-token") {
  const expiresOn = Math.floor(Date.now() / 1000) + lifetime;
  return JSON.stringify({ access_token: secret, expires_on: String(expiresOn), token_type: "Bearer" });
}

/** A grant that is still valid after the clock of the caller has jumped by a day. */
const futureGrant = () => grantBody(3 * 86_400);

export function httpResponse(status, body, headers = {}) {
  const all = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Words\r\n${lines.join("")}\r\n${body}`;
}

const head = (headers) => httpResponse(200, "", headers);

/** Sends a text one byte at a time, each after the previous one was flushed. */
async function trickle(socket, { raw }, text) {
  raw.setNoDelay();
  for (const byte of Buffer.from(text)) {
    if (socket.destroyed) return;
    await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
  }
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Repeats a text for as long as the client reads it. */
function flood(socket, text) {
  const repeated = text.repeat(Math.ceil(65_536 / text.length));
  const pour = () => {
    while (!socket.destroyed && socket.write(repeated));
  };
  socket.on("drain", pour);
  pour();
}

/** Sends a text and resets the connection once the text was flushed. */
function sendThenReset(socket, { raw }, text) {
  socket.write(text, () => raw.resetAndDestroy());
}

const connectionLost = { code: UNREACHABLE, retryable: true };
const timedOut = { code: TIMED_OUT, retryable: true, wait: "requestTimeout" };
const rejected = { code: FAILED, retryable: false };
const unusable = { code: FAILED, retryable: false, status: 200 };

/**
 * `inject` receives the socket on which a request has arrived, and the raw socket below TLS. `onConnect` receives a
 * socket on which nothing has arrived yet.
 */
const FAULTS = [
  { name: "connection refused", refuseConnections: true, expected: connectionLost, requests: 0 },
  {
    name: "reset before the response",
    inject: (_, { raw }) => raw.resetAndDestroy(),
    expected: connectionLost,
  },
  { name: "closed before the response", inject: (socket) => socket.end(), expected: connectionLost },
  {
    name: "reset within the header",
    inject: (socket, wire) => sendThenReset(socket, wire, "HTTP/1.1 200 OK\r\nConte"),
    expected: connectionLost,
  },
  {
    name: "reset within the body",
    inject: (socket, wire) => sendThenReset(socket, wire, `${head({ "Content-Length": 100 })}{"access_`),
    expected: connectionLost,
  },
  { name: "no data after the connection", onConnect: () => {}, expected: timedOut, requests: 0 },
  { name: "no response to the request", inject: () => {}, expected: timedOut },
  {
    name: "no body after the header",
    inject: (socket) => socket.write(head({ "Content-Length": 100 })),
    expected: timedOut,
  },
  {
    name: "one byte at a time",
    inject: (socket, wire) => trickle(socket, wire, httpResponse(200, futureGrant())),
    expected: "token",
  },
  {
    name: "Content-Length too long",
    inject: (socket) => socket.end(httpResponse(200, futureGrant(), { "Content-Length": 5_000 })),
    expected: connectionLost,
  },
  {
    name: "Content-Length too short",
    inject: (socket) => socket.end(httpResponse(200, futureGrant(), { "Content-Length": 20 })),
    expected: unusable,
  },
  {
    name: "invalid chunk size",
    inject: (socket) => {
      const header = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
      socket.end(`${header}zz\r\nnonsense\r\n`);
    },
    expected: connectionLost,
  },
  {
    name: "not HTTP",
    inject: (socket) => socket.end("SSH-2.0-OpenSSH\r\n"),
    expected: { code: FAILED, retryable: false },
  },
  {
    name: "100 Continue before the response",
    inject: (socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${httpResponse(200, futureGrant())}`),
    expected: "token",
  },
  {
    name: "endless body",
    inject: (socket) => {
      socket.write(CHUNKED);
      flood(socket, `10000\r\n${" ".repeat(65_536)}\r\n`);
    },
    expected: unusable,
  },
  {
    name: "response sent twice",
    inject: (socket) => socket.write(httpResponse(200, futureGrant()).repeat(2)),
    expected: "token",
  },
  {
    name: "endless chunk size",
    inject: (socket) => {
      socket.write(CHUNKED);
      flood(socket, "0");
    },
    expected: rejected,
  },
  {
    name: "endless trailers",
    inject: (socket) => {
      socket.write(`${CHUNKED}0\r\n`);
      flood(socket, `X-Trailer: ${"x".repeat(1_000)}\r\n`);
    },
    expected: rejected,
  },
  {
    name: "endless 1xx responses",
    inject: (socket) => flood(socket, "HTTP/1.1 103 Early Hints\r\n\r\n"),
    expected: rejected,
  },
  {
    name: "endless header fields",
    inject: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      flood(socket, `X-Header: ${"x".repeat(1_000)}\r\n`);
    },
    expected: rejected,
  },
  {
    name: "Content-Encoding: gzip, compressed",
    inject: (socket) => {
      const body = gzipSync(futureGrant());
      socket.write(head({ "Content-Encoding": "gzip", "Content-Length": body.length }));
      socket.end(body);
    },
    expected: unusable,
  },
  {
    name: "Content-Encoding: gzip, not compressed",
    inject: (socket) => socket.end(httpResponse(200, futureGrant(), { "Content-Encoding": "gzip" })),
    expected: "token",
  },
  {
    name: "redirect to another origin",
    inject: (socket, { redirectOrigin }) =>
      socket.end(httpResponse(302, "", { Location: `${redirectOrigin}/token` })),
    expected: { code: FAILED, retryable: false, status: 302 },
  },
  {
    name: "200 with HTML",
    inject: (socket) =>
      socket.end(httpResponse(200, "<html>Welcome</html>", { "Content-Type": "text/html" })),
    expected: unusable,
  },
  {
    name: "200 with an empty body",
    inject: (socket) => socket.end(httpResponse(200, "")),
    expected: unusable,
  },
  {
    name: "200 without a token",
    inject: (socket) => socket.end(httpResponse(200, "{}")),
    expected: unusable,
  },
  {
    name: "200 with an expired token",
    inject: (socket) => socket.end(httpResponse(200, grantBody(-60))),
    expected: unusable,
  },
  ...[400, 401, 403].map((status) => ({
    name: `${status}`,
    inject: (socket) => socket.end(httpResponse(status, "{}")),
    expected: (source) =>
      status === 401 && source.challenges
        ? { code: "www_authenticate_header_missing", retryable: false, status }
        : { code: FAILED, retryable: false, status },
  })),
  ...[404, 408, 410, 429, 500, 502, 503, 504].map((status) => ({
    name: `${status}`,
    status,
    // A retry may follow immediately and must not use the connection that is being closed.
    inject: (socket) =>
      socket.end(
        httpResponse(status, "<html>later</html>", {
          "Content-Type": "text/html",
          Connection: "close",
        }),
      ),
    expected: (source) => ({ code: FAILED, retryable: source.retriedStatuses.includes(status), status }),
  })),
  {
    name: "429 with Retry-After: 1",
    status: 429,
    // As above: on a busy machine the connection may be closed more than a second after the response.
    inject: (socket) => socket.end(httpResponse(429, "{}", { "Retry-After": "1", Connection: "close" })),
    expected: { code: FAILED, retryable: true, status: 429 },
    hasRetryAfter: true,
  },
  {
    name: "untrusted certificate",
    certificate: "otherCertificate",
    onlyTls: true,
    inject: () => {},
    expected: (source) => ({ code: source.tls, retryable: false }),
    requests: 0,
  },
  {
    name: "invalid TLS handshake",
    onlyTls: true,
    plain: true,
    onConnect: (socket) => socket.end("nonsense\r\n"),
    expected: { code: UNREACHABLE, retryable: false },
    requests: 0,
  },
];

/**
 * The states of the cache. `after` is the age of the cached token in seconds, of a lifetime of one day; absent if the
 * cache is empty. `serves` says when the cached token is returned.
 */
export const CACHE_STATES = [
  { name: "empty cache" },
  { name: "stale", after: 13 * 3_600, serves: "immediately" },
  { name: "near expiry", after: 24 * 3_600 - 120, serves: "when the request fails, or after 2 s" },
  { name: "expired token", after: 24 * 3_600 + 60 },
];

/** The faults that apply to a source. */
export function faultsOf(source) {
  return FAULTS.filter(({ onlyTls }) => !onlyTls || source.tls);
}

/** The expected result of one call: a token by its origin, or an error. */
export function expectedOutcome(source, fault, age) {
  const expected = typeof fault.expected === "function" ? fault.expected(source) : fault.expected;
  if (age.serves === "immediately") return "the cached token";
  if (expected === "token") return "a new token";
  return age.serves === undefined ? expected : "the cached token";
}

/** The number of requests that the server reads in one attempt: none for faults that occur before the request. */
export function requestsFor(fault) {
  return fault.requests ?? 1;
}

/** Whether the fault is retried by default. */
export function isRetried(source, fault) {
  const expected = expectedOutcome(source, fault, CACHE_STATES[0]);
  return typeof expected === "object" && expected.retryable;
}
