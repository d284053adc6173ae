// Files on a file system that hangs: calls that need them end within their time limit, and no other call is delayed.

import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";
import { preloadEnvironment } from "./support/slow-files/index.mjs";

const KEY = "/var/opt/azcmagent/tokens/hangs.key";
const ENDLESS_SECONDS = 1_000_000;
/** The upper limit for a timeout of one second on a busy machine. Files hang for longer. */
const LIMIT_MS = 1_100 + 3_000;

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

/** The files that hang, and the outcome of the call that needs them. */
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
  }),
  "the cache directory": async (t) => {
    const directory = join(temporaryDirectory(t), "tokens");
    return { slow: directory, env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
  "a directory above the cache directory": async (t) => {
    const parent = temporaryDirectory(t);
    const directory = join(parent, "a", "tokens");
    return { slow: parent, env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
  "the lock of a record": async (t) => {
    const directory = join(temporaryDirectory(t), "tokens");
    return { slow: ".lock", env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
  "the temporary file of a record": async (t) => {
    const directory = join(temporaryDirectory(t), "tokens");
    return { slow: ".tmp", env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
};

/** Makes a call that needs a file that hangs, and meanwhile, twenty at a time, calls that need no such file. */
async function callDuringHang({ argument, native, report }) {
  const { slow, seconds, env, healthyEnv, directory, method = "acquireToken", timeout } = argument;
  const { ManagedIdentityApplication } = native;
  const names = new Set([...Object.keys(env), ...Object.keys(healthyEnv)]);
  const withEnvironment = (variables, call) => {
    for (const name of names) delete process.env[name];
    Object.assign(process.env, variables);
    return call();
  };
  const timed = async (call) => {
    const startedAt = performance.now();
    const outcome = await call().then(
      () => "fulfilled",
      (error) => error.errorCode,
    );
    return { outcome, ms: performance.now() - startedAt };
  };
  const other = new ManagedIdentityApplication();
  const acquireOther = (nth) =>
    timed(() => other.acquireToken({ resource: `https://${nth}.example`, timeout: 5_000 }));
  await withEnvironment(healthyEnv, () => acquireOther(0));
  Object.assign(process.env, { SLOW_FILES: slow, SLOW_SECONDS: String(seconds) });
  const application = new ManagedIdentityApplication({ cache: { directory } });
  const slowCall = withEnvironment(env, () =>
    timed(() =>
      application[method](method === "acquireToken" ? { resource: "https://a", timeout } : { timeout }),
    ),
  );
  let isSettled = false;
  slowCall.then(() => {
    isSettled = true;
  });
  const others = [];
  do {
    const first = others.length + 1;
    others.push(
      ...(await withEnvironment(healthyEnv, () =>
        Promise.all(Array.from({ length: 20 }, (_, nth) => acquireOther(first + nth))),
      )),
    );
  } while (!isSettled && others.length < 2_000);
  report({ ...(await slowCall), others });
}

for (const [name, prepare] of Object.entries(CASES)) {
  for (const seconds of [8, ENDLESS_SECONDS]) {
    const title = `${name} hangs ${seconds === 8 ? "for 8 s" : "forever"}: the call ends in time, other calls are not delayed`;
    testWith(test, "slow files")(title, async (t) => {
      const healthyEnv = (await startEndpoint(t)).env;
      const { outcome, ...rest } = await prepare(t);
      const argument = { ...rest, seconds, healthyEnv, timeout: 1_000 };
      const child = startProcess(t, callDuringHang, { argument, env: preloadEnvironment });
      const found = await child.next();
      const reported = performance.now();
      t.is(found.outcome, outcome);
      t.true(found.ms < LIMIT_MS, `${found.ms} ms`);
      for (const { outcome, ms } of found.others) {
        t.is(outcome, "fulfilled");
        t.true(ms < LIMIT_MS, `${ms} ms beside it`);
      }
      // A hanging thread does not keep the process alive.
      const { code, stderr } = await child.ended;
      t.deepEqual([code, stderr], [0, ""]);
      t.true(performance.now() - reported < LIMIT_MS);
    });
  }
}

testWith(test, "slow files")("a federated token that takes a second to read is awaited", async (t) => {
  const [endpoint, healthyEnv] = [await startEndpoint(t, "workload-identity"), await startEndpoint(t)];
  const argument = {
    slow: endpoint.env.AZURE_FEDERATED_TOKEN_FILE,
    seconds: 1,
    env: endpoint.env,
    healthyEnv: healthyEnv.env,
    timeout: 30_000,
  };
  const [found] = await runProcess(t, callDuringHang, { argument, env: preloadEnvironment });
  t.is(found.outcome, "fulfilled");
  for (const { outcome } of found.others) t.is(outcome, "fulfilled");
});
