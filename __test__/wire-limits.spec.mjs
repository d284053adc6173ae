// Limits on received data: bytes are counted on the wire, and a flood does not delay calls to other endpoints.

import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { startProcess } from "./support/child-program.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { startRawEndpoint, tokenResponse } from "./support/raw-endpoint.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

const LIMIT = 3_000;
/** How long a call may take beyond its timeout on a busy machine. A flood without a limit never ends. */
const SLACK = 10 * LIMIT;
const MEBIBYTE = 1_048_576;

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
/** The beginning of each flood, and the part that is repeated endlessly. */
const FLOODS = {
  "digits of a chunk size": [CHUNKED, "0".repeat(4_096)],
  "extensions of a chunk": [`${CHUNKED}5;`, "a=b;".repeat(1_024)],
  "chunks of one byte": [CHUNKED, "1\r\nx\r\n".repeat(512)],
  trailers: [`${CHUNKED}0\r\n`, `X-Trailer: ${"x".repeat(1_000)}\r\n`],
  "informational responses": ["", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(64)],
  "header fields": ["HTTP/1.1 200 OK\r\n", `X-Header: ${"x".repeat(1_000)}\r\n`],
  "one header field": ["HTTP/1.1 200 OK\r\nX-Header: ", "x".repeat(4_096)],
  "a reason phrase": ["HTTP/1.1 200 ", "x".repeat(4_096)],
  "blank lines": ["", "\r\n".repeat(2_048)],
  "an endless body": ["HTTP/1.1 200 OK\r\n\r\n", "x".repeat(4_096)],
};

/** Starts a process that responds to every connection with a flood, as fast as it is read. */
async function startFlood(t, [start, repeated]) {
  const flood = startProcess(
    t,
    ({ require, report, argument: [start, repeated] }) => {
      let max = 0;
      const server = require("node:net").createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => {
          socket.write(start);
          const pump = () => {
            while (!socket.destroyed && socket.write(repeated));
            max = Math.max(max, socket.bytesWritten);
          };
          socket.on("drain", pump);
          pump();
        });
        socket.on("close", () => {
          max = Math.max(max, socket.bytesWritten);
        });
      });
      server.listen(0, "127.0.0.1", () => report(server.address().port));
      process.on("SIGUSR2", () => report(max));
    },
    { argument: [start, repeated] },
  );
  const port = await flood.next();
  return {
    env: { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "not-a-secret" },
    mostBytesWritten() {
      flood.child.kill("SIGUSR2");
      return flood.next();
    },
  };
}

testWith(test, "signals")(
  "31 flooded connections end in time, and calls to a good endpoint are not affected",
  async (t) => {
    t.timeout(600_000);
    for (const [name, bytes] of Object.entries(FLOODS)) {
      const flood = await startFlood(t, bytes);
      const good = await startRawEndpoint(t, ({ socket, resource }) => socket.write(tokenResponse(resource)));
      const application = new ManagedIdentityApplication({
        system: { totalTimeout: LIMIT, disableInternalRetries: true },
      });
      const started = performance.now();
      const flooded = Array.from({ length: 31 }, async (_, index) => {
        const resource = `https://flooded-${index}.example`;
        const error = await t.throwsAsync(
          withEnvironment(flood.env, () => application.acquireToken(resource)),
        );
        return { error, elapsed: performance.now() - started };
      });
      for (let call = 0; call < 40; call += 1) {
        const resource = `https://good-${call}.example`;
        const { accessToken } = await withEnvironment(good.env, () => application.acquireToken(resource));
        t.is(accessToken, `token for ${resource}`);
      }
      for (const { error, elapsed } of await Promise.all(flooded)) {
        // On a busy machine the timeout may occur first.
        const codes = ["managed_identity_failed_response", "network_unavailable"];
        t.true(codes.includes(error.errorCode), `${name}: ${error.message}`);
        t.true(elapsed < LIMIT + SLACK, `${name}: ${elapsed} ms`);
      }
      // Bytes that were written and never read are in the kernel's buffers on both sides.
      t.true((await flood.mostBytesWritten()) < 16 * MEBIBYTE, name);
    }
  },
);

test("64 KiB of header fields are rejected, slightly less is accepted", async (t) => {
  const field = (length) => `X-Header: ${"x".repeat(length)}\r\n`;
  for (const [length, isRead] of [
    [60_000, true],
    [66_000, false],
  ]) {
    const endpoint = await startRawEndpoint(t, ({ socket, resource }) =>
      socket.write(tokenResponse(resource).replace("\r\n", `\r\n${field(length)}`)),
    );
    const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
    const call = withEnvironment(endpoint.env, () => application.acquireToken("https://a.example"));
    if (isRead) {
      t.is((await call).accessToken, "token for https://a.example");
    } else {
      const error = await t.throwsAsync(call);
      t.is(error.errorCode, "managed_identity_failed_response");
      t.true(error.message.includes("64 KiB"), error.message);
    }
  }
});

test("a token in a body of almost 1 MiB is read, in one piece and in chunks", async (t) => {
  const padding = "x".repeat(MEBIBYTE - 1_000);
  const body = JSON.stringify({ access_token: "token", expires_in: 86_400, padding });
  const chunks = body.match(/.{1,8192}/gs).map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
  for (const response of [
    `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    `${CHUNKED}${chunks.join("")}0\r\n\r\n`,
  ]) {
    const endpoint = await startRawEndpoint(t, ({ socket }) => socket.write(response));
    const application = new ManagedIdentityApplication();
    const { accessToken } = await withEnvironment(endpoint.env, () =>
      application.acquireToken("https://a.example"),
    );
    t.is(accessToken, "token");
  }
});
