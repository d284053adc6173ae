// Secrets in the memory of a process that has used them. The endpoint runs in this process, and the searched process
// receives the secret only from it.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import test from "ava";
import { arcDirectories } from "./support/arc-namespace.mjs";
import { testWith } from "./support/capabilities.mjs";
import { startProcess } from "./support/child-program.mjs";
import { findRemainingSecrets, findSecrets } from "./support/memory-scan.mjs";

/** Starts an endpoint with this request listener, which stops with the test; returns its origin. */
async function listen(t, respond) {
  const server = createServer(respond).listen(0, "127.0.0.1");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

function tokenBody(token) {
  return JSON.stringify({ access_token: token, expires_in: "86400", token_type: "Bearer" });
}

/** Acquires a token from Azure Arc with verbose logging; reports the result and stays alive. */
async function acquireFromArc({ native, require, argument, report }) {
  require("node:fs").mkdirSync(argument.directory, { recursive: true });
  // The search must find this value, to prove that it works. It is generated, so that it is not in the source text.
  const canary = Buffer.from(require("node:crypto").randomBytes(32).toString("hex"));
  report({ canary: canary.toString() });
  const lines = [];
  const application = new native.ManagedIdentityApplication({
    system: {
      disableInternalRetries: true,
      loggerOptions: {
        loggerCallback: (_, line) => lines.push(line),
        logLevel: native.LogLevel.Trace,
        piiLoggingEnabled: true,
      },
    },
  });
  const result = await application.acquireToken({ resource: "https://a", timeout: argument.timeout }).then(
    () => "token",
    (error) => error.errorCode,
  );
  for (let round = 0; round < 3; round += 1) {
    global.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  report({ result, lines: lines.length });
  setInterval(() => canary, 60_000);
}

/** The behaviour of the agent after it received its key, and the result of the acquisition. */
const AGENTS = {
  "returns a token": {
    result: "token",
    respond: (_, response) => response.end(tokenBody("t".repeat(1_000))),
  },
  "returns an error": {
    result: "denied",
    respond: (_, response) => response.writeHead(400).end('{"error":"denied"}'),
  },
  "returns the key": {
    result: "denied",
    respond: ({ headers }, response) => {
      const body = { error: "denied", error_description: JSON.stringify(headers) };
      response.writeHead(400).end(JSON.stringify(body));
    },
  },
  "breaks the connection": {
    result: "managed_identity_unreachable_network",
    respond: ({ socket }) => socket.destroy(),
  },
  // The timeout is long enough for two requests on a busy machine.
  "never responds": { result: "network_unavailable", respond: () => {}, timeout: 10_000 },
};

for (const [name, { result, respond, timeout = 60_000 }] of Object.entries(AGENTS)) {
  testWith(
    test.serial,
    "/proc/pid/mem",
    "mount namespaces",
  )(`no part of Azure Arc's key remains in memory if the agent ${name}`, async (t) => {
    const { command, keys: directory } = arcDirectories(t);
    const keys = [];
    const sent = [];
    const closed = [];
    let child;
    const origin = await listen(t, (request, response) => {
      if (request.headers.authorization !== undefined) {
        sent.push([request.headers.authorization, request.headers.connection]);
        closed.push(once(request.socket, "close"));
        respond(request, response);
        return;
      }
      const key = randomBytes(72).toString("base64url");
      const file = `${directory}/${keys.push(key)}.key`;
      writeFileSync(`/proc/${child.pid}/root${file}`, key);
      response.writeHead(401, { "WWW-Authenticate": `Basic realm=${file}` }).end();
    });
    const program = startProcess(t, acquireFromArc, {
      argument: { directory, timeout },
      command,
      env: { IDENTITY_ENDPOINT: `${origin}/token`, IMDS_ENDPOINT: origin },
      flags: ["--expose-gc"],
    });
    child = program.child;
    const { canary } = await program.next();
    t.is((await program.next()).result, result);
    t.deepEqual(sent, [[`Basic ${keys}`, "close"]]);
    await Promise.all(closed);
    t.true(findSecrets(child.pid, [canary]).length > 0, "the search works");
    t.deepEqual(findRemainingSecrets(child.pid, keys), []);
  });
}

/** Acquires a token that JavaScript never receives, because its only call is aborted; clears the cache on a signal. */
async function acquireAbandoned({ native, report }) {
  const loggerCallback = (_, line) => line.includes("acquired a token") && report("stored");
  const application = new native.ManagedIdentityApplication({
    system: { loggerOptions: { loggerCallback, logLevel: native.LogLevel.Info } },
  });
  const controller = new AbortController();
  const call = application.acquireToken({ resource: "https://a", abortSignal: controller.signal });
  controller.abort();
  process.once("SIGUSR2", () => {
    native.ManagedIdentityApplication.clearCache();
    report("cleared");
  });
  setInterval(() => application, 60_000);
  report(await call.catch((error) => error.name));
}

testWith(test.serial, "/proc/pid/mem")(
  "no part of a cached token remains in native memory after clearCache",
  async (t) => {
    const token = randomBytes(90).toString("base64url");
    let allowResponse;
    const responseAllowed = new Promise((resolve) => {
      allowResponse = resolve;
    });
    const origin = await listen(t, async (_, response) => {
      await responseAllowed;
      response.end(tokenBody(token));
    });
    const { child, next } = startProcess(t, acquireAbandoned, {
      env: { IDENTITY_ENDPOINT: `${origin}/token`, IDENTITY_HEADER: "header" },
    });
    t.is(await next(), "AbortError");
    allowResponse();
    t.is(await next(), "stored");
    t.true(findSecrets(child.pid, [token]).length > 0, "the token is in the cache");
    child.kill("SIGUSR2");
    t.is(await next(), "cleared");
    t.deepEqual(findRemainingSecrets(child.pid, [token]), []);
  },
);
