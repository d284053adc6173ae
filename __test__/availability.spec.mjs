// `isAvailable`: a probe that asks for no token and sends no secret.

import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import test from "ava";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { within } from "./support/environment.mjs";
import { runProcess } from "./support/program.mjs";
import { refusal } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

const SOURCES = {
  "app-service": "AppService",
  imds: "DefaultToImds",
  "azure-arc": "AzureArc",
  "cloud-shell": "CloudShell",
  "machine-learning": "MachineLearning",
  "service-fabric": "ServiceFabric",
};

function ask(env, options, configuration) {
  return within(env, () => new ManagedIdentityApplication(configuration).isAvailable(options));
}

/** An endpoint that answers every connection with these bytes, or not at all. */
async function startServer(t, answer) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => answer !== undefined && socket.end(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

for (const [source, name] of Object.entries(SOURCES)) {
  test(`${source}: it is there, and is told nothing`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    t.deepEqual(await ask(endpoint.env, { timeout: 10_000 }), { available: true, source: name });
    const [request] = endpoint.requests;
    t.is(endpoint.requests.length, 1);
    t.is(request.method, "GET");
    t.deepEqual(request.query, {});
    t.is(request.body, "");
    const known = ["accept", "accept-encoding", "user-agent", "host"];
    t.deepEqual(
      Object.keys(request.headers).filter((header) => !known.includes(header)),
      [],
    );
  });

  test(`${source}: nothing is cached from it`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const application = new ManagedIdentityApplication();
    const probe = () => within(endpoint.env, () => application.isAvailable({ timeout: 10_000 }));
    await probe();
    await probe();
    t.is(endpoint.requests.length, 2);
    if (source === "azure-arc") return; // Its keys lie where only an agent may put them.
    const { fromCache } = await within(endpoint.env, () => application.acquireToken(RESOURCE));
    t.false(fromCache);
  });
}

test("workload identity: in a process with the authority's certificate", async (t) => {
  const endpoint = await startEndpoint(t, "workload-identity");
  const found = await runProcess(
    t,
    async ({ native, report }) => {
      const application = new native.ManagedIdentityApplication();
      report(await application.isAvailable({ timeout: 10_000 }));
      process.env.AZURE_FEDERATED_TOKEN_FILE = "/nowhere/token";
      report(await application.isAvailable({ timeout: 10_000 }));
    },
    { env: endpoint.env },
  );
  t.deepEqual(found[0], { available: true, source: "WorkloadIdentity" });
  t.false(found[1].available);
  t.true(found[1].reason.includes("/nowhere/token"));
  t.is(endpoint.requests.length, 1);
  t.is(endpoint.requests[0].body, "");
});

for (const status of [200, 302, 400, 401, 404, 405, 429, 500, 503]) {
  test(`an answer of ${status} is one`, async (t) => {
    const elsewhere = await startEndpoint(t);
    const endpoint = await startEndpoint(t, "imds");
    endpoint.always({ status, headers: { Location: elsewhere.env.IDENTITY_ENDPOINT } });
    t.true((await ask(endpoint.env, { timeout: 10_000 })).available);
    t.is(elsewhere.requests.length, 0);
  });
}

for (const words of ["connecting to 169.254.169.254:80: refused", "connectex: no route"]) {
  test(`the 403 of a container's host is none: ${words}`, async (t) => {
    const endpoint = await startEndpoint(t, "imds");
    endpoint.always({ status: 403, body: words });
    const { available, source, reason } = await ask(endpoint.env, { timeout: 10_000 });
    t.deepEqual([available, source], [false, "DefaultToImds"]);
    t.true(reason.includes("no IMDS"), reason);
    endpoint.always({ status: 403, body: "forbidden" });
    t.true((await ask(endpoint.env, { timeout: 10_000 })).available);
  });
}

test("a refused connection, and one that is never answered, are no endpoint", async (t) => {
  const refused = await ask({ AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1" }, { timeout: 10_000 });
  t.false(refused.available);
  t.regex(refused.reason, /refused the connection/);
  const silent = await ask({ AZURE_POD_IDENTITY_AUTHORITY_HOST: await startServer(t) }, { timeout: 50 });
  t.false(silent.available);
  t.regex(silent.reason, /did not answer a probe within 50 ms/);
});

test("somebody who speaks no HTTP is no endpoint, one who says too much is", async (t) => {
  const origin = await startServer(t, "SSH-2.0\r\n");
  t.false((await ask({ AZURE_POD_IDENTITY_AUTHORITY_HOST: origin }, { timeout: 10_000 })).available);
  const endpoint = await startEndpoint(t, "imds");
  endpoint.always({ body: "x".repeat(2_000_000) });
  t.true((await ask(endpoint.env, { timeout: 10_000 })).available);
});

test("Service Fabric with another certificate is not there, and is sent nothing", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  const env = { ...endpoint.env, IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) };
  const { available, reason } = await ask(env, { timeout: 10_000 });
  t.false(available);
  t.regex(reason, /another thumbprint/);
  t.is(endpoint.requests.length, 0);
});

test("variables that cannot be used are told, and nothing is thrown", async (t) => {
  for (const [env, word] of [
    [{ IDENTITY_ENDPOINT: "nonsense", IDENTITY_HEADER: "x" }, "IDENTITY_ENDPOINT"],
    [{ MSI_ENDPOINT: "ftp://a" }, "MSI_ENDPOINT"],
    [{ AZURE_POD_IDENTITY_AUTHORITY_HOST: "x" }, "AZURE_POD_IDENTITY_AUTHORITY_HOST"],
  ]) {
    const { available, reason } = await ask(env);
    t.false(available);
    t.true(reason.includes(word), reason);
  }
});

test("a timeout that is none is refused by name", async (t) => {
  for (const timeout of [0, -1, 600_001, "5", Number.NaN, {}]) {
    const error = await refusal(t, ask({}, { timeout }), "invalid_configuration");
    t.true(error.message.includes("timeout"), error.message);
  }
  await t.notThrowsAsync(ask({}, null));
});

test("a caller's network client carries it", async (t) => {
  const urls = [];
  const networkClient = {
    sendGetRequestAsync: async (url, { headers }) => {
      urls.push([url, "Metadata" in headers]);
      return { status: 400, headers: {}, body: {} };
    },
    sendPostRequestAsync: async () => t.fail(),
  };
  // The address of the real service: nothing of ours leaves for it.
  const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
  const found = await ask(env, undefined, { system: { networkClient } });
  t.deepEqual(found, { available: true, source: "DefaultToImds" });
  t.deepEqual(urls, [["http://169.254.169.254/metadata/identity/oauth2/token", false]]);
});
