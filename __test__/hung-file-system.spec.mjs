// Files on a file system that hangs: calls that need them end in time, and no other call notices.

import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { startEndpoint } from "./support/endpoint.mjs";
import { runProcess, startProcess } from "./support/program.mjs";
import { preloadEnvironment, skipReason } from "./support/slow-files/index.mjs";

const KEY = "/var/opt/azcmagent/tokens/hangs.key";
const FOR_EVER = 1_000_000;
/** What a limit of a second may become on a machine that is busy; a file hangs for longer. */
const LIMIT_MS = 1_100 + 3_000;

/** A folder that goes with the test. */
function folder(t) {
  const path = mkdtempSync(join(realpathSync(tmpdir()), "hung-files-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A file with a federated token. */
function tokenFile(t) {
  const path = join(folder(t), "federated-token");
  writeFileSync(path, "assertion");
  return path;
}

/** The environment of a workload whose authority does not listen. */
function workload(path) {
  return {
    AZURE_FEDERATED_TOKEN_FILE: path,
    AZURE_TENANT_ID: "tenant",
    AZURE_CLIENT_ID: "client",
    AZURE_AUTHORITY_HOST: "https://127.0.0.1:1",
  };
}

/** An agent of Azure Arc that names a key. */
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

/** What hangs, and what the call that needs it gets. */
const cases = {
  "the federated token": async (t) => {
    const file = tokenFile(t);
    return { slow: file, env: workload(file), outcome: "network_unavailable" };
  },
  "the federated token, for a probe": async (t) => {
    const file = tokenFile(t);
    return { slow: file, env: workload(file), method: "isAvailable", outcome: "fulfilled" };
  },
  "Azure Arc's key": async (t) => ({ slow: KEY, env: await startAgent(t), outcome: "network_unavailable" }),
  "a file of extra certificates": async (t) => {
    const roots = join(folder(t), "roots.pem");
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
    directory: join(folder(t), "tokens"),
    outcome: "fulfilled",
  }),
  "the cache directory": async (t) => {
    const directory = join(folder(t), "tokens");
    return { slow: directory, env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
  "a directory above the cache directory": async (t) => {
    const parent = folder(t);
    const directory = join(parent, "a", "tokens");
    return { slow: parent, env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
  "the lock of a record": async (t) => {
    const directory = join(folder(t), "tokens");
    return { slow: ".lock", env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
  "the record that a token is written to": async (t) => {
    const directory = join(folder(t), "tokens");
    return { slow: ".tmp", env: (await startEndpoint(t)).env, directory, outcome: "fulfilled" };
  },
};

/** Makes a call that needs a file that hangs, and others beside it, twenty at a time, that need none. */
async function callBeside({ argument, native, report }) {
  const { slow, seconds, env, healthy, directory, method = "acquireToken", timeout } = argument;
  const { ManagedIdentityApplication } = native;
  const names = new Set([...Object.keys(env), ...Object.keys(healthy)]);
  const withEnvironment = (variables, call) => {
    for (const name of names) delete process.env[name];
    Object.assign(process.env, variables);
    return call();
  };
  const timed = async (call) => {
    const began = performance.now();
    const outcome = await call().then(
      () => "fulfilled",
      (error) => error.errorCode,
    );
    return { outcome, ms: performance.now() - began };
  };
  const other = new ManagedIdentityApplication();
  const ask = (nth) =>
    timed(() => other.acquireToken({ resource: `https://${nth}.example`, timeout: 5_000 }));
  await withEnvironment(healthy, () => ask(0));
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
  const beside = [];
  do {
    const first = beside.length + 1;
    beside.push(
      ...(await withEnvironment(healthy, () =>
        Promise.all(Array.from({ length: 20 }, (_, nth) => ask(first + nth))),
      )),
    );
  } while (!isSettled && beside.length < 2_000);
  report({ ...(await slowCall), beside });
}

for (const [name, lay] of Object.entries(cases)) {
  for (const seconds of [8, FOR_EVER]) {
    const title = `${name} hangs ${seconds === 8 ? "for 8 s" : "for ever"}: limits hold, others are served`;
    (skipReason === undefined ? test : test.skip)(title, async (t) => {
      const healthy = (await startEndpoint(t)).env;
      const { outcome, ...rest } = await lay(t);
      const argument = { ...rest, seconds, healthy, timeout: 1_000 };
      const child = startProcess(t, callBeside, { argument, env: preloadEnvironment });
      const found = await child.next();
      const reported = performance.now();
      t.is(found.outcome, outcome);
      t.true(found.ms < LIMIT_MS, `${found.ms} ms`);
      for (const { outcome, ms } of found.beside) {
        t.is(outcome, "fulfilled");
        t.true(ms < LIMIT_MS, `${ms} ms beside it`);
      }
      // A thread that hangs does not keep the process.
      const { code, stderr } = await child.ended;
      t.deepEqual([code, stderr], [0, ""]);
      t.true(performance.now() - reported < LIMIT_MS);
    });
  }
}

(skipReason === undefined ? test : test.skip)(
  "a federated token that takes a second is waited for",
  async (t) => {
    const [endpoint, healthy] = [await startEndpoint(t, "workload-identity"), await startEndpoint(t)];
    const argument = {
      slow: endpoint.env.AZURE_FEDERATED_TOKEN_FILE,
      seconds: 1,
      env: endpoint.env,
      healthy: healthy.env,
      timeout: 30_000,
    };
    const [found] = await runProcess(t, callBeside, { argument, env: preloadEnvironment });
    t.is(found.outcome, "fulfilled");
    for (const { outcome } of found.beside) t.is(outcome, "fulfilled");
  },
);

test("files that hang can be made, or the reason against it is reported", (t) => {
  if (skipReason !== undefined) t.log(`the tests of files that hang are skipped: ${skipReason}`);
  t.pass();
});
