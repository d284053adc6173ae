"use strict";

// A server at IMDS's address, for programs in a network namespace, and a credential chain that calls it.

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
 * Answers every request with `responses.any` if it is given. Otherwise requests without the Metadata header get
 * `responses.probe`, and the others get `responses.tokens` in order, the last one repeatedly. A response is `{ status,
 * headers, body }`, `null` for no response, or a string that is sent as it is. Each response is sent after `delay`
 * milliseconds.
 */
async function serveAtImdsAddress({ any, probe = IMDS.probe, tokens = [IMDS.token], delay = 0 }) {
  const requests = [];
  let count = 0;
  const server = http.createServer((request, response) => {
    const isProbe = request.headers.metadata === undefined;
    requests.push(isProbe ? "probe" : "token");
    if (!isProbe) count += 1;
    const expected = isProbe ? probe : tokens[Math.min(count, tokens.length) - 1];
    const planned = any === undefined ? expected : any;
    if (planned === null) return;
    if (typeof planned === "string") {
      request.socket.end(planned);
      return;
    }
    setTimeout(() => {
      response.writeHead(planned.status, planned.headers);
      response.end(planned.body);
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

/** Returns the token or the error of a chain of `first` and a second credential, and the elapsed milliseconds. */
async function getTokenFromChain(first, scope = "https://vault.azure.net/.default") {
  const { ChainedTokenCredential } = require("@azure/identity");
  const next = { getToken: async () => ({ token: "the-next", expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const startedAt = performance.now();
  const outcome = await new ChainedTokenCredential(first, next).getToken(scope).then(
    ({ token }) => ({ token }),
    ({ name, code, message }) => ({ name, code, message }),
  );
  return { ...outcome, ms: performance.now() - startedAt };
}

/** The report of `doctor --json`, run in the network namespace of this process. */
async function doctor(require) {
  const { execFile } = require("node:child_process");
  const path = require.resolve("../../dist/cli.js");
  return new Promise((resolve) => {
    execFile(process.execPath, [path, "doctor", "--json", "--timeout", "60000"], (_, stdout) =>
      resolve(JSON.parse(stdout)),
    );
  });
}

module.exports = { serveAtImdsAddress, getTokenFromChain, doctor };
