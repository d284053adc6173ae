// AKS identity bindings: the token request of a workload identity through the token proxy of the cluster. Each result
// is compared with that of @azure/identity in the same process and at the same server.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { startProcess } from "./support/child-program.mjs";

const { createCertificate } = createRequire(import.meta.url)("managed-identity-native/emulator");

const TENANT = "11111111-2222-4333-8444-555555555555";
const SNI = "token-proxy.example";

/** Starts a token proxy whose certificate has these names. `requests` has the token requests that it received. */
async function startProxy(t, names) {
  const certificate = await createCertificate({ names, subject: "cluster authority" });
  const requests = [];
  const server = https.createServer(
    { cert: certificate.pem, key: certificate.keyPem },
    async (request, response) => {
      const { method, url, headers, socket } = request;
      const form = Object.fromEntries(new URLSearchParams(await text(request)));
      const respond = (body) => {
        response.writeHead(200, { "Content-Type": "application/json", Connection: "close" });
        response.end(JSON.stringify(body));
      };
      if (url.includes("openid-configuration")) {
        const base = `https://login.microsoftonline.com/${TENANT}`;
        respond({
          issuer: `${base}/v2.0`,
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          jwks_uri: `${base}/discovery/v2.0/keys`,
        });
        return;
      }
      requests.push({ method, url, host: headers.host, sni: socket.servername, form });
      respond({ token_type: "Bearer", expires_in: 3600, access_token: `token-${requests.length}` });
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const directory = mkdtempSync(join(tmpdir(), "identity-bindings-"));
  const write = (name, content) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const { port } = server.address();
  return {
    requests,
    pem: certificate.pem,
    write,
    url: `https://127.0.0.1:${port}`,
    ca: write("ca.pem", certificate.pem),
    env: {
      AZURE_TENANT_ID: TENANT,
      AZURE_CLIENT_ID: "66666666-7777-4888-9999-000000000000",
      AZURE_FEDERATED_TOKEN_FILE: write("token", "header.payload.signature"),
      AZURE_KUBERNETES_TOKEN_PROXY: `https://127.0.0.1:${port}`,
      NODE_EXTRA_CA_CERTS: undefined,
    },
  };
}

/** For each set of variables, acquires a token with @azure/identity and with this package, and reports both results. */
async function acquireWithBoth({ argument, native, require, report }) {
  const { WorkloadIdentityCredential } = require("@azure/identity");
  const resultOf = async (get) => {
    try {
      return await get();
    } catch (error) {
      return { code: error.errorCode ?? error.name, message: error.message };
    }
  };
  const before = { ...process.env };
  for (const env of argument.cases) {
    Object.assign(process.env, before, env);
    const reference = await resultOf(async () => {
      const credential = new WorkloadIdentityCredential({
        enableAzureProxy: true,
        disableInstanceDiscovery: true,
        retryOptions: { maxRetries: 0 },
      });
      return (await credential.getToken("https://vault.azure.net/.default")).token;
    });
    const system = {
      enableAzureProxy: argument.enable,
      disableInternalRetries: true,
      connectTimeout: 60_000,
    };
    const actual = await resultOf(async () => {
      const application = new native.ManagedIdentityApplication({ system });
      return (await application.getToken("https://vault.azure.net/.default")).token;
    });
    report({ reference, actual });
    for (const name of Object.keys(env)) if (before[name] === undefined) delete process.env[name];
  }
}

/** The results of each case. `env` is the environment in which the process starts. */
async function resultsOf(t, proxy, cases, { env, enable = true } = {}) {
  const program = startProcess(t, acquireWithBoth, {
    argument: { cases, enable },
    env: { ...proxy.env, ...env },
  });
  const { reports, code, stderr } = await program.ended;
  t.is(code, 0, stderr);
  t.is(reports.length, cases.length);
  return reports;
}

async function resultOf(t, proxy, env, enable) {
  const [result] = await resultsOf(t, proxy, [{}], { env, enable });
  return { ...result, requests: proxy.requests.splice(0) };
}

/** Asserts that both requests have the same target and content. */
function assertSameRequests(t, { reference, actual, requests }) {
  t.is(typeof reference, "string", reference.message);
  t.is(typeof actual, "string", actual.message);
  const [expectedRequest, actualRequest] = requests.map(({ form, ...rest }) => {
    const { grant_type, client_id, scope, client_assertion, client_assertion_type } = form;
    return { ...rest, form: { grant_type, client_id, client_assertion, client_assertion_type, scope } };
  });
  // msal-node puts a request id into the query, which Entra does not require.
  expectedRequest.url = expectedRequest.url.replace(/\?client-request-id=[0-9a-f-]+$/, "");
  // msal-node adds OpenID Connect scopes, which have no effect in this grant.
  expectedRequest.form.scope = expectedRequest.form.scope.split(" ")[0];
  t.deepEqual(actualRequest, expectedRequest);
}

test("the request is sent to the proxy, which is verified by the authority in a file", async (t) => {
  const proxy = await startProxy(t);
  const result = await resultOf(t, proxy, { AZURE_KUBERNETES_CA_FILE: proxy.ca });
  assertSameRequests(t, result);
  t.is(result.requests[1].url, `/${TENANT}/oauth2/v2.0/token`);
});

test("the proxy's path is a prefix of the request path, and the authority can be a variable", async (t) => {
  const proxy = await startProxy(t);
  const paths = ["/proxy", "/other/", "/a/b"];
  const cases = paths.map((path) => ({
    AZURE_KUBERNETES_TOKEN_PROXY: proxy.url + path,
    AZURE_KUBERNETES_CA_DATA: proxy.pem,
  }));
  const results = await resultsOf(t, proxy, cases);
  for (const [index, path] of paths.entries()) {
    const requests = proxy.requests.splice(0, 2);
    assertSameRequests(t, { ...results[index], requests });
    t.is(requests[1].url, `${path.replace(/\/$/, "")}/${TENANT}/oauth2/v2.0/token`);
  }
});

testWith(test, "extra trust roots")(
  "without an authority, the proxy is verified by the roots of the process",
  async (t) => {
    const proxy = await startProxy(t);
    assertSameRequests(t, await resultOf(t, proxy, { NODE_EXTRA_CA_CERTS: proxy.ca }));
    const { reference, actual, requests } = await resultOf(t, proxy, {});
    t.is(typeof reference, "object");
    t.is(actual.code, "managed_identity_unreachable_network");
    t.deepEqual(requests, []);
  },
);

test("a configured authority replaces the roots of the process", async (t) => {
  const proxy = await startProxy(t);
  const other = await createCertificate({ subject: "another authority" });
  const env = { NODE_EXTRA_CA_CERTS: proxy.ca, AZURE_KUBERNETES_CA_DATA: other.pem };
  const { reference, actual, requests } = await resultOf(t, proxy, env);
  t.is(typeof reference, "object");
  t.is(actual.code, "managed_identity_unreachable_network");
  t.deepEqual(requests, []);
});

// The native client cannot use a TLS name other than the host of the URL.
test("the TLS handshake uses AZURE_KUBERNETES_SNI_NAME, and the certificate must contain it", async (t) => {
  const proxy = await startProxy(t, [SNI]);
  const env = { AZURE_KUBERNETES_SNI_NAME: SNI, AZURE_KUBERNETES_CA_FILE: proxy.ca };
  const result = await resultOf(t, proxy, env);
  assertSameRequests(t, result);
  t.deepEqual(
    result.requests.map(({ sni }) => sni),
    [SNI, SNI],
  );
});

test("a certificate without the name in AZURE_KUBERNETES_SNI_NAME is rejected", async (t) => {
  const proxy = await startProxy(t, ["elsewhere.example"]);
  const env = { AZURE_KUBERNETES_SNI_NAME: SNI, AZURE_KUBERNETES_CA_FILE: proxy.ca };
  const { reference, actual, requests } = await resultOf(t, proxy, env);
  t.is(typeof reference, "object");
  t.is(actual.code, "managed_identity_unreachable_network");
  t.true(actual.message.includes("AZURE_KUBERNETES_CA_FILE"), actual.message);
  t.deepEqual(requests, []);
});

const INVALID = [
  [
    "a name without a proxy",
    { AZURE_KUBERNETES_TOKEN_PROXY: "", AZURE_KUBERNETES_SNI_NAME: SNI },
    "SNI_NAME",
  ],
  [
    "a file without a proxy",
    { AZURE_KUBERNETES_TOKEN_PROXY: "", AZURE_KUBERNETES_CA_FILE: "/none" },
    "CA_FILE",
  ],
  ["http", { AZURE_KUBERNETES_TOKEN_PROXY: "http://127.0.0.1:1" }, "TOKEN_PROXY"],
  ["not a URL", { AZURE_KUBERNETES_TOKEN_PROXY: "nonsense" }, "TOKEN_PROXY"],
  ["user info", { AZURE_KUBERNETES_TOKEN_PROXY: "https://user:secret@127.0.0.1:1" }, "TOKEN_PROXY"],
  ["a query", { AZURE_KUBERNETES_TOKEN_PROXY: "https://127.0.0.1:1/?a=secret" }, "TOKEN_PROXY"],
  ["a fragment", { AZURE_KUBERNETES_TOKEN_PROXY: "https://127.0.0.1:1/#secret" }, "TOKEN_PROXY"],
  ["two authorities", { AZURE_KUBERNETES_CA_FILE: "/none", AZURE_KUBERNETES_CA_DATA: "secret" }, "CA_DATA"],
  ["an authority without certificates", { AZURE_KUBERNETES_CA_DATA: "secret" }, "CA_DATA"],
  ["a missing file", { AZURE_KUBERNETES_CA_FILE: "/none/ca.pem" }, "CA_FILE"],
];

test("invalid variables are an error, as for @azure/identity", async (t) => {
  const proxy = await startProxy(t);
  const results = await resultsOf(
    t,
    proxy,
    INVALID.map(([, variables]) => variables),
  );
  for (const [index, [description, , named]] of INVALID.entries()) {
    const { reference, actual } = results[index];
    t.is(reference.code, "CredentialUnavailableError", description);
    t.is(actual.code, "invalid_configuration", description);
    t.true(actual.message.includes(`AZURE_KUBERNETES_${named}`), actual.message);
    t.false(actual.message.includes("secret"), actual.message);
  }
  t.deepEqual(proxy.requests, []);
});

test("without the option, the variables have no effect", async (t) => {
  const proxy = await startProxy(t);
  const env = {
    AZURE_KUBERNETES_CA_FILE: proxy.ca,
    AZURE_KUBERNETES_CA_DATA: "both are set",
    AZURE_AUTHORITY_HOST: "https://127.0.0.1:1",
  };
  const { actual, requests } = await resultOf(t, proxy, env, false);
  t.is(actual.code, "managed_identity_unreachable_network");
  t.deepEqual(requests, []);
});
