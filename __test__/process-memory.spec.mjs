// What is left of a secret in the memory of a process that has used it. The endpoint is in this process, and the
// process that is searched gets the secret from it only.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import test from "ava";
import { KEY_DIRECTORY, namespaceCommand, skipReason } from "./support/arc-namespace.mjs";
import { findRemainingSecrets, findSecrets, unavailableReason } from "./support/memory-scan.mjs";
import { startProcess } from "./support/program.mjs";

/** An endpoint that answers by `answer(request, response)` and closes with the test: its address. */
async function listen(t, answer) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

function granted(token) {
  return JSON.stringify({ access_token: token, expires_in: "86400", token_type: "Bearer" });
}

/** Acquires by Azure Arc, logging at its loudest; tells how that ended and stays alive. */
async function acquireByArc({ native, require, argument, report }) {
  require("node:fs").mkdirSync(argument.folder, { recursive: true });
  // Found by the search, or it is worth nothing. Made here, so that no word of it stands in the source.
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
  const ended = await application.acquireToken({ resource: "https://a", timeout: argument.timeout }).then(
    () => "token",
    (error) => error.errorCode,
  );
  for (let round = 0; round < 3; round += 1) {
    global.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  report({ ended, lines: lines.length });
  setInterval(() => canary, 60_000);
}

/** What an agent may do once it was sent its key, and how the acquisition then ends. */
const AGENTS = {
  "answers it": { ended: "token", answer: (_, response) => response.end(granted("t".repeat(1_000))) },
  "refuses it": {
    ended: "denied",
    answer: (_, response) => response.writeHead(400).end('{"error":"denied"}'),
  },
  "sends it back": {
    ended: "denied",
    answer: ({ headers }, response) => {
      const said = { error: "denied", error_description: JSON.stringify(headers) };
      response.writeHead(400).end(JSON.stringify(said));
    },
  },
  "breaks the connection": {
    ended: "managed_identity_unreachable_network",
    answer: ({ socket }) => socket.destroy(),
  },
  "never answers": { ended: "network_unavailable", answer: () => {}, timeout: 2_000 },
};

const searchedForKeys = unavailableReason ?? skipReason;
for (const [name, { ended, answer, timeout = 30_000 }] of Object.entries(AGENTS)) {
  (searchedForKeys ? test.skip : test.serial)(
    `no piece of Azure Arc's key is left in memory when the agent ${name}${searchedForKeys ? ` (${searchedForKeys})` : ""}`,
    async (t) => {
      const keys = [];
      const sent = [];
      const closed = [];
      let child;
      const origin = await listen(t, (request, response) => {
        if (request.headers.authorization !== undefined) {
          sent.push([request.headers.authorization, request.headers.connection]);
          closed.push(once(request.socket, "close"));
          answer(request, response);
          return;
        }
        const key = randomBytes(72).toString("base64url");
        const file = `${KEY_DIRECTORY}/${keys.push(key)}.key`;
        writeFileSync(`/proc/${child.pid}/root${file}`, key);
        response.writeHead(401, { "WWW-Authenticate": `Basic realm=${file}` }).end();
      });
      const program = startProcess(t, acquireByArc, {
        argument: { folder: KEY_DIRECTORY, timeout },
        command: namespaceCommand,
        env: { IDENTITY_ENDPOINT: `${origin}/token`, IMDS_ENDPOINT: origin },
        flags: ["--expose-gc"],
      });
      child = program.child;
      const { canary } = await program.next();
      t.is((await program.next()).ended, ended);
      t.deepEqual(sent, [[`Basic ${keys}`, "close"]]);
      await Promise.all(closed);
      t.true(findSecrets(child.pid, [canary]).length > 0, "the search finds what is there");
      t.deepEqual(findRemainingSecrets(child.pid, keys), []);
    },
  );
}

/** Has a token fetched that JavaScript never sees, since its only caller does not wait; forgets it at a signal. */
async function fetchUnseen({ native, report }) {
  const loggerCallback = (_, line) => line.includes("got a token") && report("stored");
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

(unavailableReason ? test.skip : test.serial)(
  `no piece of a cached token is left in native memory after clearCache${unavailableReason ? ` (${unavailableReason})` : ""}`,
  async (t) => {
    const token = randomBytes(90).toString("base64url");
    let abandon;
    const abandoned = new Promise((resolve) => {
      abandon = resolve;
    });
    const origin = await listen(t, async (_, response) => {
      await abandoned;
      response.end(granted(token));
    });
    const { child, next } = startProcess(t, fetchUnseen, {
      env: { IDENTITY_ENDPOINT: `${origin}/token`, IDENTITY_HEADER: "header" },
    });
    t.is(await next(), "AbortError");
    abandon();
    t.is(await next(), "stored");
    t.true(findSecrets(child.pid, [token]).length > 0, "the token is in the cache");
    child.kill("SIGUSR2");
    t.is(await next(), "cleared");
    t.deepEqual(findRemainingSecrets(child.pid, [token]), []);
  },
);
