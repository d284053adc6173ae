// A host name with several addresses: all are tried within one connect timeout (RFC 8305). The name is defined in the
// hosts file of a child process, in a mount namespace.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { ownFileAndNetworkCommand, ownFileCommand, withoutIpv6Command } from "./support/own-files.mjs";
import { startUnresponsiveServer } from "./support/unresponsive-server.mjs";

const NAME = "several-addresses.example";

/** The command prefix that starts a process with this hosts file. */
function withHosts(path) {
  return ownFileCommand("/etc/hosts", path);
}

const hostsFolder = mkdtempSync(join(tmpdir(), "hosts-"));
test.after.always(() => rmSync(hostsFolder, { recursive: true }));

let files = 0;

function hostsFile(addresses) {
  files += 1;
  const path = join(hostsFolder, `hosts-${files}`);
  writeFileSync(path, addresses.map((address) => `${address} ${NAME}\n`).join(""));
  return path;
}

/** A timeout that ends a call to an address which must not be waited for. */
const LONG_MS = 120_000;
/** The limit for a call that does not wait for that timeout, on a busy machine. */
const IMMEDIATE_MS = LONG_MS / 4;
/** A timeout that a call is to take once, and not once for each address. */
const CONNECT_MS = 6_000;

const isolated = testWith(test, "own hosts file");

/** Starts a token endpoint at one address and returns its port. */
async function startTokenEndpoint(t, host) {
  const server = createServer((_, response) =>
    response.end(JSON.stringify({ access_token: "token", expires_in: 86_400 })),
  );
  server.listen(0, host);
  await once(server, "listening");
  t.teardown(() => server.close());
  return server.address().port;
}

/**
 * Acquires a token in a child process in which the host name has these addresses; returns the result and the elapsed
 * time.
 */
async function acquireByName(t, port, addresses, system = {}) {
  const [outcome] = await runProcess(
    t,
    async ({ native: { ManagedIdentityApplication }, report, argument: { system } }) => {
      const application = new ManagedIdentityApplication({ system });
      const started = performance.now();
      const result = await application.acquireToken("https://vault.azure.net").then(
        ({ accessToken }) => ({ accessToken }),
        ({ errorCode, attempts }) => ({ errorCode, attempts }),
      );
      report({ ...result, elapsed: performance.now() - started });
    },
    {
      argument: { system },
      command: withHosts(hostsFile(addresses)),
      env: { IDENTITY_ENDPOINT: `http://${NAME}:${port}/msi/token`, IDENTITY_HEADER: "not-a-secret" },
    },
  );
  return outcome;
}

isolated("the second address is tried while the first does not respond", async (t) => {
  const port = await startTokenEndpoint(t, "127.0.0.3");
  await startUnresponsiveServer(t, ["127.0.0.2"], port);
  for (const addresses of [
    ["127.0.0.2", "127.0.0.3"],
    ["127.0.0.3", "127.0.0.2"],
  ]) {
    const { accessToken, elapsed } = await acquireByName(t, port, addresses, {
      connectTimeout: LONG_MS,
      requestTimeout: LONG_MS,
      disableInternalRetries: true,
    });
    t.is(accessToken, "token");
    t.true(elapsed < IMMEDIATE_MS, `${elapsed} ms`);
  }
});

isolated("the last of eight addresses is reached within one connect timeout", async (t) => {
  const port = await startTokenEndpoint(t, "127.0.0.9");
  const unresponsive = Array.from({ length: 7 }, (_, index) => `127.0.0.${index + 2}`);
  await startUnresponsiveServer(t, unresponsive, port);
  const { accessToken } = await acquireByName(t, port, [...unresponsive, "127.0.0.9"], {
    // One for each address would take longer than the default `requestTimeout`.
    connectTimeout: 8_000,
    disableInternalRetries: true,
  });
  t.is(accessToken, "token");
});

isolated("a refused address is followed by the next one immediately", async (t) => {
  const port = await startTokenEndpoint(t, "127.0.0.3");
  const { accessToken, elapsed } = await acquireByName(t, port, ["127.0.0.2", "127.0.0.3"], {
    connectTimeout: LONG_MS,
    requestTimeout: LONG_MS,
    disableInternalRetries: true,
  });
  t.is(accessToken, "token");
  t.true(elapsed < IMMEDIATE_MS, `${elapsed} ms`);
});

isolated("the connect timeout limits all addresses together", async (t) => {
  const port = await startUnresponsiveServer(t, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
  const outcome = await acquireByName(t, port, ["127.0.0.2", "127.0.0.3", "127.0.0.4"], {
    connectTimeout: CONNECT_MS,
    requestTimeout: LONG_MS,
    disableInternalRetries: true,
  });
  t.is(outcome.errorCode, "network_unavailable");
  t.true(outcome.elapsed >= CONNECT_MS - 50, `${outcome.elapsed} ms`);
  t.true(outcome.elapsed < 2 * CONNECT_MS, `${outcome.elapsed} ms, as long as two addresses`);
});

/** The error of `getToken` for an endpoint on which nothing listens. */
async function getTokenError(t, addresses, command) {
  const [outcome] = await runProcess(
    t,
    async ({ native: { ManagedIdentityApplication }, report }) => {
      const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
      const error = await application.getToken("https://vault.azure.net/.default").catch((error) => error);
      report({ name: error.name, code: error.cause?.code });
    },
    {
      command: [...withHosts(hostsFile(addresses)), ...command],
      env: { IDENTITY_ENDPOINT: `http://${NAME}:9/msi/token`, IDENTITY_HEADER: "not-a-secret" },
    },
  );
  return outcome;
}

testWith(
  test,
  "own hosts file",
  "IPv6 that can be disabled",
)("an unsupported address family does not hide that another address refused the connection", async (t) => {
  const refused = { name: "CredentialUnavailableError", code: "ECONNREFUSED" };
  for (const addresses of [["127.0.0.2"], ["::1", "127.0.0.2"], ["127.0.0.2", "::1", "2001:db8::1"]]) {
    t.deepEqual(await getTokenError(t, addresses, withoutIpv6Command), refused, addresses.join());
  }
});

const nameServerFile = join(hostsFolder, "resolv.conf");
// The longest timeout that the C library accepts, for each of two attempts.
writeFileSync(nameServerFile, "nameserver 127.0.0.53\noptions timeout:30 attempts:2\n");

testWith(
  test,
  "own name server",
  "network namespaces",
)("a hanging name lookup uses few threads and delays no other name or file access", async (t) => {
  const [{ threads, tokens, elapsed }] = await runProcess(
    t,
    async ({ native: { ManagedIdentityApplication }, require, report }) => {
      const { once } = require("node:events");
      const fs = require("node:fs");
      const nameServer = require("node:dgram").createSocket("udp4");
      await once(nameServer.bind(53, "127.0.0.53"), "listening");
      const endpoint = require("node:http").createServer((_, response) =>
        response.end(JSON.stringify({ access_token: "token", expires_in: 86_400 })),
      );
      await once(endpoint.listen(0, "127.0.0.1"), "listening");
      const system = { connectTimeout: 60_000, requestTimeout: 60_000, disableInternalRetries: true };
      const application = new ManagedIdentityApplication({ system });
      process.env.IDENTITY_HEADER = "not-a-secret";
      process.env.IDENTITY_ENDPOINT = "http://hanging-name.example/token";
      for (let round = 0; round < 6; round += 1) {
        const calls = Array.from({ length: 32 }, (_, index) =>
          application.acquireToken({ resource: `https://${round}-${index}.example`, timeout: 300 }),
        );
        await Promise.allSettled(calls);
      }
      const threads = fs.readdirSync("/proc/self/task").length;
      // An endpoint by name, and a cache that reads files.
      process.env.IDENTITY_ENDPOINT = `http://localhost:${endpoint.address().port}/token`;
      const directory = fs.mkdtempSync(require("node:path").join(require("node:os").tmpdir(), "lookup-"));
      const cached = new ManagedIdentityApplication({ cache: { directory: `${directory}/cache` }, system });
      const started = performance.now();
      const results = await Promise.all(
        [application, cached].map((application) =>
          application.acquireToken({ resource: "https://vault.azure.net", timeout: 60_000 }),
        ),
      );
      const elapsed = performance.now() - started;
      fs.rmSync(directory, { recursive: true });
      report({ threads, tokens: results.map(({ accessToken }) => accessToken), elapsed });
      endpoint.close();
      endpoint.closeAllConnections();
      nameServer.close();
    },
    { command: ownFileAndNetworkCommand("/etc/resolv.conf", nameServerFile) },
  );
  t.deepEqual(tokens, ["token", "token"]);
  t.true(elapsed < IMMEDIATE_MS, `${elapsed} ms`);
  t.true(threads < 40, `${threads} threads`);
});
