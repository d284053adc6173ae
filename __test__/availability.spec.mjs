// `isAvailable`: a probe that requests no token and sends no secret.

import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

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

function isAvailable(env, options, configuration) {
  return withEnvironment(env, () => new ManagedIdentityApplication(configuration).isAvailable(options));
}

/** Starts a server that sends these bytes in each connection, or nothing. */
async function startServer(t, bytes) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => bytes !== undefined && socket.end(bytes));
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
  test(`${source}: a running endpoint is available; the probe has no query, body or secret`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    t.deepEqual(await isAvailable(endpoint.env, { timeout: 10_000 }), { available: true, source: name });
    const [request] = endpoint.requests;
    t.is(endpoint.requests.length, 1);
    t.is(request.method, "GET");
    t.deepEqual(request.query, {});
    t.is(request.body, "");
    const standardHeaders = ["accept", "accept-encoding", "user-agent", "host"];
    t.deepEqual(
      Object.keys(request.headers).filter((header) => !standardHeaders.includes(header)),
      [],
    );
  });

  test(`${source}: probes are not cached`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const application = new ManagedIdentityApplication();
    const probe = () => withEnvironment(endpoint.env, () => application.isAvailable({ timeout: 10_000 }));
    await probe();
    await probe();
    t.is(endpoint.requests.length, 2);
    if (source === "azure-arc") return; // The key files of Azure Arc can only be written by its agent.
    const { fromCache } = await withEnvironment(endpoint.env, () => application.acquireToken(RESOURCE));
    t.false(fromCache);
  });
}

testWith(test, "extra trust roots")(
  "workload identity: available while the token file and the authority can be read",
  async (t) => {
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
  },
);

for (const status of [200, 302, 400, 401, 404, 405, 429, 500, 503]) {
  test(`any response counts as available: status ${status}`, async (t) => {
    const redirectTarget = await startEndpoint(t);
    const endpoint = await startEndpoint(t, "imds");
    endpoint.always({ status, headers: { Location: redirectTarget.env.IDENTITY_ENDPOINT } });
    t.true((await isAvailable(endpoint.env, { timeout: 10_000 })).available);
    t.is(redirectTarget.requests.length, 0);
  });
}

for (const body of ["connecting to 169.254.169.254:80: refused", "connectex: no route"]) {
  test(`the 403 of a container host in place of IMDS does not count: ${body}`, async (t) => {
    const endpoint = await startEndpoint(t, "imds");
    endpoint.always({ status: 403, body });
    const { available, source, reason } = await isAvailable(endpoint.env, { timeout: 10_000 });
    t.deepEqual([available, source], [false, "DefaultToImds"]);
    t.true(reason.includes("no IMDS"), reason);
    endpoint.always({ status: 403, body: "forbidden" });
    t.true((await isAvailable(endpoint.env, { timeout: 10_000 })).available);
  });
}

test("a refused connection and a connection without a response are not available", async (t) => {
  const refused = await isAvailable(
    { AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1" },
    { timeout: 10_000 },
  );
  t.false(refused.available);
  t.regex(refused.reason, /refused the connection/);
  const silent = await isAvailable(
    { AZURE_POD_IDENTITY_AUTHORITY_HOST: await startServer(t) },
    { timeout: 50 },
  );
  t.false(silent.available);
  t.regex(silent.reason, /did not respond to a probe within 50 ms/);
});

test("a non-HTTP response is not available; a response that is too large is", async (t) => {
  const origin = await startServer(t, "SSH-2.0\r\n");
  t.false((await isAvailable({ AZURE_POD_IDENTITY_AUTHORITY_HOST: origin }, { timeout: 10_000 })).available);
  const endpoint = await startEndpoint(t, "imds");
  endpoint.always({ body: "x".repeat(2_000_000) });
  t.true((await isAvailable(endpoint.env, { timeout: 10_000 })).available);
});

test("Service Fabric with another certificate is not available, and receives no request", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  const env = { ...endpoint.env, IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) };
  const { available, reason } = await isAvailable(env, { timeout: 10_000 });
  t.false(available);
  t.regex(reason, /thumbprint is not IDENTITY_SERVER_THUMBPRINT/);
  t.is(endpoint.requests.length, 0);
});

test("invalid variables are reported in `reason`; nothing is thrown", async (t) => {
  for (const [env, variable] of [
    [{ IDENTITY_ENDPOINT: "nonsense", IDENTITY_HEADER: "x" }, "IDENTITY_ENDPOINT"],
    [{ MSI_ENDPOINT: "ftp://a" }, "MSI_ENDPOINT"],
    [{ AZURE_POD_IDENTITY_AUTHORITY_HOST: "x" }, "AZURE_POD_IDENTITY_AUTHORITY_HOST"],
  ]) {
    const { available, reason } = await isAvailable(env);
    t.false(available);
    t.true(reason.includes(variable), reason);
  }
});

test("an invalid timeout is rejected by name", async (t) => {
  for (const timeout of [0, -1, 600_001, "5", Number.NaN, {}]) {
    const error = await expectError(t, isAvailable({}, { timeout }), "invalid_configuration");
    t.true(error.message.includes("timeout"), error.message);
  }
  await t.notThrowsAsync(isAvailable({}, null));
});

test("a custom networkClient sends the probe", async (t) => {
  const urls = [];
  const networkClient = {
    sendGetRequestAsync: async (url, { headers }) => {
      urls.push([url, "Metadata" in headers]);
      return { status: 400, headers: {}, body: {} };
    },
    sendPostRequestAsync: async () => t.fail(),
  };
  // The real address of IMDS: the custom client ensures that nothing is sent to it.
  const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
  const found = await isAvailable(env, undefined, { system: { networkClient } });
  t.deepEqual(found, { available: true, source: "DefaultToImds" });
  t.deepEqual(urls, [["http://169.254.169.254/metadata/identity/oauth2/token", false]]);
});
