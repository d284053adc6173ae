// The faults of the matrix, and by rule what a caller gets for each. Nothing here knows how a test runs.

import { gzipSync } from "node:zlib";

const FAILED = "managed_identity_failed_response";
const UNREACHABLE = "managed_identity_unreachable_network";
const NO_ANSWER = "network_unavailable";

/** An answer that is in order, with a token that lives for so many seconds. */
export function grant(lifetime = 86_400, secret = "a-token") {
  const expiresOn = Math.floor(Date.now() / 1000) + lifetime;
  return JSON.stringify({ access_token: secret, expires_on: String(expiresOn), token_type: "Bearer" });
}

/** A token for a caller whose clock is a day ahead. */
const later = () => grant(3 * 86_400);

export function answer(status, body, headers = {}) {
  const all = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Words\r\n${lines.join("")}\r\n${body}`;
}

const head = (headers) => answer(200, "", headers);

/** Sends a text a byte at a time, each when the one before has left. */
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

/** Sends a text and then breaks the connection off, once the text has left. */
function cut(socket, { raw }, text) {
  socket.write(text, () => raw.resetAndDestroy());
}

const lost = { code: UNREACHABLE, retryable: true };
const silent = { code: NO_ANSWER, retryable: true, wait: "requestTimeout" };
const flooded = { code: FAILED, retryable: false };
const broken = { code: FAILED, retryable: false, status: 200 };

/** `commit` gets a socket on which a request has arrived, with the raw one beneath it; or with `onConnect` one on which nothing has. */
const FAULTS = [
  { name: "the connection is refused", refuse: true, ends: lost, requests: 0 },
  { name: "reset before the answer", commit: (_, { raw }) => raw.resetAndDestroy(), ends: lost },
  { name: "closed before the answer", commit: (socket) => socket.end(), ends: lost },
  {
    name: "reset in the header",
    commit: (socket, wire) => cut(socket, wire, "HTTP/1.1 200 OK\r\nConte"),
    ends: lost,
  },
  {
    name: "reset in the body",
    commit: (socket, wire) => cut(socket, wire, `${head({ "Content-Length": 100 })}{"access_`),
    ends: lost,
  },
  { name: "silence after the connection", onConnect: () => {}, ends: silent, requests: 0 },
  { name: "silence after the request", commit: () => {}, ends: silent },
  {
    name: "silence after the header",
    commit: (socket) => socket.write(head({ "Content-Length": 100 })),
    ends: silent,
  },
  {
    name: "one byte at a time",
    commit: (socket, wire) => trickle(socket, wire, answer(200, later())),
    ends: "token",
  },
  {
    name: "a Content-Length that is too long",
    commit: (socket) => socket.end(answer(200, later(), { "Content-Length": 5_000 })),
    ends: lost,
  },
  {
    name: "a Content-Length that is too short",
    commit: (socket) => socket.end(answer(200, later(), { "Content-Length": 20 })),
    ends: broken,
  },
  {
    name: "chunks that are none",
    commit: (socket) => {
      const header = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
      socket.end(`${header}zz\r\nnonsense\r\n`);
    },
    ends: lost,
  },
  {
    name: "no HTTP",
    commit: (socket) => socket.end("SSH-2.0-OpenSSH\r\n"),
    ends: { code: FAILED, retryable: false },
  },
  {
    name: "100 Continue first",
    commit: (socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${answer(200, later())}`),
    ends: "token",
  },
  {
    name: "a body without end",
    commit: (socket) => {
      socket.write(CHUNKED);
      flood(socket, `10000\r\n${" ".repeat(65_536)}\r\n`);
    },
    ends: broken,
  },
  {
    name: "an answer that is sent twice",
    commit: (socket) => socket.write(answer(200, later()).repeat(2)),
    ends: "token",
  },
  {
    name: "a chunk's size without end",
    commit: (socket) => {
      socket.write(CHUNKED);
      flood(socket, "0");
    },
    ends: flooded,
  },
  {
    name: "trailers without end",
    commit: (socket) => {
      socket.write(`${CHUNKED}0\r\n`);
      flood(socket, `X-Trailer: ${"x".repeat(1_000)}\r\n`);
    },
    ends: flooded,
  },
  {
    name: "1xx responses without end",
    commit: (socket) => flood(socket, "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ends: flooded,
  },
  {
    name: "header fields without end",
    commit: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      flood(socket, `X-Header: ${"x".repeat(1_000)}\r\n`);
    },
    ends: flooded,
  },
  {
    name: "a body that claims to be gzip, and is",
    commit: (socket) => {
      const body = gzipSync(later());
      socket.write(head({ "Content-Encoding": "gzip", "Content-Length": body.length }));
      socket.end(body);
    },
    ends: broken,
  },
  {
    name: "a body that claims to be gzip, and is not",
    commit: (socket) => socket.end(answer(200, later(), { "Content-Encoding": "gzip" })),
    ends: "token",
  },
  {
    name: "a redirect to another origin",
    commit: (socket, { elsewhere }) => socket.end(answer(302, "", { Location: `${elsewhere}/token` })),
    ends: { code: FAILED, retryable: false, status: 302 },
  },
  {
    name: "200 with HTML",
    commit: (socket) => socket.end(answer(200, "<html>Welcome</html>", { "Content-Type": "text/html" })),
    ends: broken,
  },
  { name: "200 with nothing", commit: (socket) => socket.end(answer(200, "")), ends: broken },
  { name: "200 without a token", commit: (socket) => socket.end(answer(200, "{}")), ends: broken },
  {
    name: "200 with a token that has expired",
    commit: (socket) => socket.end(answer(200, grant(-60))),
    ends: broken,
  },
  ...[400, 401, 403].map((status) => ({
    name: `${status}`,
    commit: (socket) => socket.end(answer(status, "{}")),
    ends: (source) =>
      status === 401 && source.challenges
        ? { code: "www_authenticate_header_missing", retryable: false, status }
        : { code: FAILED, retryable: false, status },
  })),
  ...[404, 408, 410, 429, 500, 502, 503, 504].map((status) => ({
    name: `${status}`,
    status,
    // A retry may follow at once: it must not meet the connection that is being closed.
    commit: (socket) =>
      socket.end(answer(status, "<html>later</html>", { "Content-Type": "text/html", Connection: "close" })),
    ends: (source) => ({ code: FAILED, retryable: source.busy.includes(status), status }),
  })),
  {
    name: "429 with Retry-After: 1",
    status: 429,
    commit: (socket) => socket.end(answer(429, "{}", { "Retry-After": "1" })),
    ends: { code: FAILED, retryable: true, status: 429 },
    pauses: true,
  },
  {
    name: "another certificate",
    certificate: "wrong",
    onlyTls: true,
    commit: () => {},
    ends: (source) => ({ code: source.tls, retryable: false }),
    requests: 0,
  },
  {
    name: "a TLS handshake that is none",
    onlyTls: true,
    plain: true,
    onConnect: (socket) => socket.end("nonsense\r\n"),
    ends: { code: UNREACHABLE, retryable: false },
    requests: 0,
  },
];

/** How old the token is that the cache holds, in seconds after it came, of a lifetime of a day; none when cold. */
export const AGES = [
  { name: "nothing cached" },
  { name: "ageing", after: 13 * 3_600, serves: "at once" },
  { name: "nearly expired", after: 24 * 3_600 - 120, serves: "after the request, or after 2 s" },
  { name: "expired", after: 24 * 3_600 + 60 },
];

/** The faults that a source can meet. */
export function faultsOf(source) {
  return FAULTS.filter(({ onlyTls }) => !onlyTls || source.tls);
}

/** What a caller of one request gets for a fault, with a token of this age in the cache. */
export function outcome(source, fault, age) {
  const ends = typeof fault.ends === "function" ? fault.ends(source) : fault.ends;
  if (age.serves === "at once") return "the cached token";
  if (ends === "token") return "a new token";
  return age.serves === undefined ? ends : "the cached token";
}

/** How many requests the server reads for it: one, but for what breaks earlier. */
export function requestsFor(fault) {
  return fault.requests ?? 1;
}

/** Whether it is tried again, where that is not switched off. */
export function isRetried(source, fault) {
  const ends = outcome(source, fault, AGES[0]);
  return typeof ends === "object" && ends.retryable;
}
