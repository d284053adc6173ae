// Files on a file system that hangs: calls that need them end while it hangs, and no other call waits for it. A file hangs
// until the test releases it, so that the order of events is asserted rather than their duration.

import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { startProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";
import { preloadEnvironment } from "./support/slow-files/index.mjs";

const KEY = "/var/opt/azcmagent/tokens/hangs.key";
/** A timeout that ends a call which waits for a file that hangs. */
const SHORT_MS = 1_000;
/** A timeout within which a request succeeds on a busy machine, after half of it was spent on a cache that hangs. */
const LONG_MS = 20_000;
/** How many calls that need no such file are made while it hangs. */
const OTHER_CALLS = 40;

/** A directory that is removed with the test. */
function temporaryDirectory(t) {
  const path = mkdtempSync(join(realpathSync(tmpdir()), "hung-files-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A file with a federated token. */
function tokenFile(t) {
  const path = join(temporaryDirectory(t), "federated-token");
  writeFileSync(path, "assertion");
  return path;
}

/** The environment of a workload identity whose authority does not listen. */
function workload(path) {
  return {
    AZURE_FEDERATED_TOKEN_FILE: path,
    AZURE_TENANT_ID: "tenant",
    AZURE_CLIENT_ID: "client",
    AZURE_AUTHORITY_HOST: "https://127.0.0.1:1",
  };
}

/** Starts an agent of Azure Arc that names a key file. */
async function startAgent(t) {
  const server = createServer((_, response) => {
    response.writeHead(401, { "WWW-Authenticate": `Basic realm=${KEY}` }).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { IDENTITY_ENDPOINT: `${origin}/metadata/identity/oauth2/token`, IMDS_ENDPOINT: origin };
}

/** The files that hang, and the outcome of the call that needs them, within `SHORT_MS` unless it has a timeout. */
const CASES = {
  "the federated token": async (t) => {
    const file = tokenFile(t);
    return { slow: file, env: workload(file), outcome: "network_unavailable" };
  },
  "the federated token, for a probe": async (t) => {
    const file = tokenFile(t);
    return { slow: file, env: workload(file), method: "isAvailable", outcome: "fulfilled" };
  },
  "Azure Arc's key file": async (t) => ({
    slow: KEY,
    env: await startAgent(t),
    outcome: "network_unavailable",
  }),
  "a file of extra certificates": async (t) => {
    const roots = join(temporaryDirectory(t), "roots.pem");
    const env = { ...workload(tokenFile(t)), NODE_EXTRA_CA_CERTS: roots };
    return { slow: roots, env, outcome: "network_unavailable" };
  },
  "the system's trust roots": async () => ({
    slow: "/etc/ssl/certs/ca-certificates.crt",
    env: { IDENTITY_ENDPOINT: "https://127.0.0.1:1/token", IDENTITY_HEADER: "secret" },
    outcome: "network_unavailable",
  }),
  "the machine's id": async (t) => ({
    slow: "/etc/machine-id",
    env: (await startEndpoint(t)).env,
    directory: join(temporaryDirectory(t), "tokens"),
    outcome: "fulfilled",
    timeout: LONG_MS,
  }),
  "the cache directory": async (t) => {
    const directory = join(temporaryDirectory(t), "tokens");
    return {
      slow: directory,
      env: (await startEndpoint(t)).env,
      directory,
      outcome: "fulfilled",
      timeout: LONG_MS,
    };
  },
  "a directory above the cache directory": async (t) => {
    const parent = temporaryDirectory(t);
    const directory = join(parent, "a", "tokens");
    return {
      slow: parent,
      env: (await startEndpoint(t)).env,
      directory,
      outcome: "fulfilled",
      timeout: LONG_MS,
    };
  },
  "the lock of a record": async (t) => {
    const directory = join(temporaryDirectory(t), "tokens");
    return {
      slow: ".lock",
      env: (await startEndpoint(t)).env,
      directory,
      outcome: "fulfilled",
      timeout: LONG_MS,
    };
  },
  "the temporary file of a record": async (t) => {
    const directory = join(temporaryDirectory(t), "tokens");
    return {
      slow: ".tmp",
      env: (await startEndpoint(t)).env,
      directory,
      outcome: "fulfilled",
      timeout: LONG_MS,
    };
  },
};

/**
 * Makes a call that needs a file that hangs, and then, once the test says that it hangs, calls that need no such file.
 * Reports the outcomes of these and then of that call.
 */
async function callDuringHang({ argument, native, require, report }) {
  const { slow, env, healthyEnv, directory, method = "acquireToken", timeout, otherCalls } = argument;
  const { ManagedIdentityApplication } = native;
  const { once } = require("node:events");
  const names = new Set([...Object.keys(env), ...Object.keys(healthyEnv)]);
  const withEnvironment = (variables, call) => {
    for (const name of names) delete process.env[name];
    Object.assign(process.env, variables);
    return call();
  };
  const outcomeOf = (call) =>
    call.then(
      () => "fulfilled",
      (error) => error.errorCode,
    );
  const other = new ManagedIdentityApplication();
  const acquireOther = (nth) =>
    outcomeOf(other.acquireToken({ resource: `https://${nth}.example`, timeout: 60_000 }));
  await withEnvironment(healthyEnv, () => acquireOther(0));
  process.env.SLOW_FILES = slow;
  const application = new ManagedIdentityApplication({ cache: { directory } });
  const slowCall = withEnvironment(env, () =>
    outcomeOf(
      application[method](method === "acquireToken" ? { resource: "https://a", timeout } : { timeout }),
    ),
  );
  await once(process.stdin, "data");
  process.stdin.destroy();
  const calls = withEnvironment(healthyEnv, () =>
    Array.from({ length: otherCalls }, (_, nth) => acquireOther(nth + 1)),
  );
  report(await Promise.all(calls));
  report(await slowCall);
}

/** Starts `callDuringHang`; the files hang until `release()`. */
async function startHang(t, argument) {
  const process = startProcess(t, callDuringHang, {
    argument: { timeout: SHORT_MS, otherCalls: OTHER_CALLS, ...argument },
    env: preloadEnvironment,
    stdin: "pipe",
    pipes: ["pipe", "pipe"],
  });
  const [stdin, , , hanging, released] = process.child.stdio;
  await Promise.race([once(hanging, "data"), process.ended]);
  stdin.end("it hangs");
  return { ...process, release: () => released.destroy() };
}

for (const [name, prepare] of Object.entries(CASES)) {
  for (const isReleased of [true, false]) {
    const title = `${name} hangs ${isReleased ? "for a while" : "forever"}: the call ends meanwhile, other calls do not wait`;
    testWith(test, "slow files")(title, async (t) => {
      t.timeout(120_000);
      const healthyEnv = (await startEndpoint(t)).env;
      const { outcome, ...rest } = await prepare(t);
      const { next, ended, release } = await startHang(t, { ...rest, healthyEnv });
      t.deepEqual(await next(), Array(OTHER_CALLS).fill("fulfilled"));
      t.is(await next(), outcome);
      if (isReleased) release();
      // A hanging thread does not keep the process alive.
      const { code, stderr } = await ended;
      t.deepEqual([code, stderr], [0, ""]);
    });
  }
}

testWith(test, "slow files")("a federated token that takes some time to read is awaited", async (t) => {
  const [endpoint, { env: healthyEnv }] = [
    await startEndpoint(t, "workload-identity"),
    await startEndpoint(t),
  ];
  const slow = endpoint.env.AZURE_FEDERATED_TOKEN_FILE;
  const argument = { slow, env: endpoint.env, healthyEnv, timeout: 60_000 };
  const { next, ended, release } = await startHang(t, argument);
  t.deepEqual(await next(), Array(OTHER_CALLS).fill("fulfilled"));
  t.is(endpoint.requests.length, 0);
  release();
  t.is(await next(), "fulfilled");
  t.deepEqual((await ended).code, 0);
});
