"use strict";

// What answers at IMDS's address, for programs in a network namespace of their own; and a chain that is asked there.

const http = require("node:http");

const ADDRESS = "169.254.169.254";
const TOKEN = { access_token: "imds-token", expires_in: "86400" };
const REFUSED = { error: "invalid_request", error_description: "Required metadata header not specified" };
const IMDS = {
  probe: {
    status: 400,
    headers: { Server: "IMDS/150.870.65.1324", "Content-Type": "application/json" },
    body: JSON.stringify(REFUSED),
  },
  token: {
    status: 200,
    headers: { Server: "IMDS/150.870.65.1324", "Content-Type": "application/json" },
    body: JSON.stringify(TOKEN),
  },
};

/**
 * Answers every request with `answers.any`, or the one without the Metadata header with `answers.probe` and each other
 * with the next of `answers.tokens`, the last of which stays. An answer is `{ status, headers, body }`, `null` for
 * silence, or a text to be sent as it is. `delay` comes before each.
 */
async function answerAtAddress({ any, probe = IMDS.probe, tokens = [IMDS.token], delay = 0 }) {
  const requests = [];
  let count = 0;
  const server = http.createServer((request, response) => {
    const isProbe = request.headers.metadata === undefined;
    requests.push(isProbe ? "probe" : "token");
    if (!isProbe) count += 1;
    const expected = isProbe ? probe : tokens[Math.min(count, tokens.length) - 1];
    const answer = any === undefined ? expected : any;
    if (answer === null) return;
    if (typeof answer === "string") {
      request.socket.end(answer);
      return;
    }
    setTimeout(() => {
      response.writeHead(answer.status, answer.headers);
      response.end(answer.body);
    }, delay);
  });
  server.on("connection", (socket) => socket.on("error", () => undefined));
  await new Promise((resolve) => {
    server.listen(80, ADDRESS, resolve);
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { requests, close };
}

/** Which token a chain of `first` and another credential brings, or which error, and after how many milliseconds. */
async function askChain(first, scope = "https://vault.azure.net/.default") {
  const { ChainedTokenCredential } = require("@azure/identity");
  const next = { getToken: async () => ({ token: "the-next", expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const startedAt = performance.now();
  const outcome = await new ChainedTokenCredential(first, next).getToken(scope).then(
    ({ token }) => ({ token }),
    ({ name, code, message }) => ({ name, code, message }),
  );
  return { ...outcome, ms: performance.now() - startedAt };
}

/** The report of `doctor --json` in this process's network. */
async function doctor(require) {
  const { execFile } = require("node:child_process");
  const path = require.resolve("../../dist/cli.js");
  return new Promise((resolve) => {
    execFile(process.execPath, [path, "doctor", "--json"], (_, stdout) => resolve(JSON.parse(stdout)));
  });
}

module.exports = { answerAtAddress, askChain, doctor };
