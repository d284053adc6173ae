// AKS identity bindings: a workload's token request by the cluster's own proxy. The judge is @azure/identity, in the
// same process and at the same server.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import test from "ava";
import { startProcess } from "./support/program.mjs";

const { createCertificate } = createRequire(import.meta.url)("managed-identity-native/emulator");

const TENANT = "11111111-2222-4333-8444-555555555555";
const SNI = "token-proxy.example";

/** A token proxy whose certificate has these names; `requests` holds the token requests that it has seen. */
async function startProxy(t, names) {
  const certificate = await createCertificate({ names, subject: "cluster authority" });
  const requests = [];
  const server = https.createServer(
    { cert: certificate.pem, key: certificate.keyPem },
    async (request, response) => {
      const { method, url, headers, socket } = request;
      const form = Object.fromEntries(new URLSearchParams(await text(request)));
      const answer = (body) => {
        response.writeHead(200, { "Content-Type": "application/json", Connection: "close" });
        response.end(JSON.stringify(body));
      };
      if (url.includes("openid-configuration")) {
        const base = `https://login.microsoftonline.com/${TENANT}`;
        answer({
          issuer: `${base}/v2.0`,
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          jwks_uri: `${base}/discovery/v2.0/keys`,
        });
        return;
      }
      requests.push({ method, url, host: headers.host, sni: socket.servername, form });
      answer({ token_type: "Bearer", expires_in: 3600, access_token: `token-${requests.length}` });
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const folder = mkdtempSync(join(tmpdir(), "identity-bindings-"));
  const write = (name, content) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
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

/** For each set of variables, asks by @azure/identity, then by our package; reports what became of both. */
async function ask({ argument, native, require, report }) {
  const { WorkloadIdentityCredential } = require("@azure/identity");
  const outcomeOf = async (get) => {
    try {
      return await get();
    } catch (error) {
      return { code: error.errorCode ?? error.name, message: error.message };
    }
  };
  const before = { ...process.env };
  for (const env of argument.cases) {
    Object.assign(process.env, before, env);
    const theirs = await outcomeOf(async () => {
      const credential = new WorkloadIdentityCredential({
        enableAzureProxy: true,
        disableInstanceDiscovery: true,
        retryOptions: { maxRetries: 0 },
      });
      return (await credential.getToken("https://vault.azure.net/.default")).token;
    });
    const system = { enableAzureProxy: argument.enable, disableInternalRetries: true };
    const ours = await outcomeOf(async () => {
      const application = new native.ManagedIdentityApplication({ system });
      return (await application.getToken("https://vault.azure.net/.default")).token;
    });
    report({ theirs, ours });
    for (const name of Object.keys(env)) if (before[name] === undefined) delete process.env[name];
  }
}

/** The outcome of each case. `env` is there when the process starts. */
async function outcomesOf(t, proxy, cases, { env, enable = true } = {}) {
  const program = startProcess(t, ask, { argument: { cases, enable }, env: { ...proxy.env, ...env } });
  const { reports, code, stderr } = await program.ended;
  t.is(code, 0, stderr);
  t.is(reports.length, cases.length);
  return reports;
}

async function outcomeOf(t, proxy, env, enable) {
  const [outcome] = await outcomesOf(t, proxy, [{}], { env, enable });
  return { ...outcome, requests: proxy.requests.splice(0) };
}

/** That a request of ours went where @azure/identity's went, with the same contents. */
function sameRequests(t, { theirs, ours, requests }) {
  t.is(typeof theirs, "string", theirs.message);
  t.is(typeof ours, "string", ours.message);
  const [expected, actual] = requests.map(({ form, ...rest }) => {
    const { grant_type, client_id, scope, client_assertion, client_assertion_type } = form;
    return { ...rest, form: { grant_type, client_id, client_assertion, client_assertion_type, scope } };
  });
  // msal-node names its request in the query; Entra does not ask for that.
  expected.url = expected.url.replace(/\?client-request-id=[0-9a-f-]+$/, "");
  // Scopes of OpenID Connect mean nothing in this grant; msal-node adds them.
  expected.form.scope = expected.form.scope.split(" ")[0];
  t.deepEqual(actual, expected);
}

test("the request goes to the proxy, whose authority stands in a file", async (t) => {
  const proxy = await startProxy(t);
  const outcome = await outcomeOf(t, proxy, { AZURE_KUBERNETES_CA_FILE: proxy.ca });
  sameRequests(t, outcome);
  t.is(outcome.requests[1].url, `/${TENANT}/oauth2/v2.0/token`);
});

test("the proxy's path comes first, and its authority stands in a variable", async (t) => {
  const proxy = await startProxy(t);
  const paths = ["/proxy", "/other/", "/a/b"];
  const cases = paths.map((path) => ({
    AZURE_KUBERNETES_TOKEN_PROXY: proxy.url + path,
    AZURE_KUBERNETES_CA_DATA: proxy.pem,
  }));
  const outcomes = await outcomesOf(t, proxy, cases);
  for (const [index, path] of paths.entries()) {
    const requests = proxy.requests.splice(0, 2);
    sameRequests(t, { ...outcomes[index], requests });
    t.is(requests[1].url, `${path.replace(/\/$/, "")}/${TENANT}/oauth2/v2.0/token`);
  }
});

test("without an authority of its own the roots of the process vouch for the proxy", async (t) => {
  const proxy = await startProxy(t);
  sameRequests(t, await outcomeOf(t, proxy, { NODE_EXTRA_CA_CERTS: proxy.ca }));
  const { theirs, ours, requests } = await outcomeOf(t, proxy, {});
  t.is(typeof theirs, "object");
  t.is(ours.code, "managed_identity_unreachable_network");
  t.deepEqual(requests, []);
});

test("an authority of its own vouches alone", async (t) => {
  const proxy = await startProxy(t);
  const other = await createCertificate({ subject: "another authority" });
  const env = { NODE_EXTRA_CA_CERTS: proxy.ca, AZURE_KUBERNETES_CA_DATA: other.pem };
  const { theirs, ours, requests } = await outcomeOf(t, proxy, env);
  t.is(typeof theirs, "object");
  t.is(ours.code, "managed_identity_unreachable_network");
  t.deepEqual(requests, []);
});

// The native client of today cannot ask for a TLS name that is not the URL's host.
test("the handshake asks for AZURE_KUBERNETES_SNI_NAME, and the certificate must have it", async (t) => {
  const proxy = await startProxy(t, [SNI]);
  const env = { AZURE_KUBERNETES_SNI_NAME: SNI, AZURE_KUBERNETES_CA_FILE: proxy.ca };
  const outcome = await outcomeOf(t, proxy, env);
  sameRequests(t, outcome);
  t.deepEqual(
    outcome.requests.map(({ sni }) => sni),
    [SNI, SNI],
  );
});

test("a certificate without the name AZURE_KUBERNETES_SNI_NAME is refused", async (t) => {
  const proxy = await startProxy(t, ["elsewhere.example"]);
  const env = { AZURE_KUBERNETES_SNI_NAME: SNI, AZURE_KUBERNETES_CA_FILE: proxy.ca };
  const { theirs, ours, requests } = await outcomeOf(t, proxy, env);
  t.is(typeof theirs, "object");
  t.is(ours.code, "managed_identity_unreachable_network");
  t.true(ours.message.includes("AZURE_KUBERNETES_CA_FILE"), ours.message);
  t.deepEqual(requests, []);
});

const WRONG = [
  ["no proxy, but a name", { AZURE_KUBERNETES_TOKEN_PROXY: "", AZURE_KUBERNETES_SNI_NAME: SNI }, "SNI_NAME"],
  [
    "no proxy, but a file",
    { AZURE_KUBERNETES_TOKEN_PROXY: "", AZURE_KUBERNETES_CA_FILE: "/none" },
    "CA_FILE",
  ],
  ["no https", { AZURE_KUBERNETES_TOKEN_PROXY: "http://127.0.0.1:1" }, "TOKEN_PROXY"],
  ["no URL", { AZURE_KUBERNETES_TOKEN_PROXY: "nonsense" }, "TOKEN_PROXY"],
  ["user info", { AZURE_KUBERNETES_TOKEN_PROXY: "https://user:secret@127.0.0.1:1" }, "TOKEN_PROXY"],
  ["a query", { AZURE_KUBERNETES_TOKEN_PROXY: "https://127.0.0.1:1/?a=secret" }, "TOKEN_PROXY"],
  ["a fragment", { AZURE_KUBERNETES_TOKEN_PROXY: "https://127.0.0.1:1/#secret" }, "TOKEN_PROXY"],
  ["two authorities", { AZURE_KUBERNETES_CA_FILE: "/none", AZURE_KUBERNETES_CA_DATA: "secret" }, "CA_DATA"],
  ["an authority without certificates", { AZURE_KUBERNETES_CA_DATA: "secret" }, "CA_DATA"],
  ["a file that is missing", { AZURE_KUBERNETES_CA_FILE: "/none/ca.pem" }, "CA_FILE"],
];

test("what is wrong with the variables is an error, as it is for @azure/identity", async (t) => {
  const proxy = await startProxy(t);
  const outcomes = await outcomesOf(
    t,
    proxy,
    WRONG.map(([, variables]) => variables),
  );
  for (const [index, [what, , named]] of WRONG.entries()) {
    const { theirs, ours } = outcomes[index];
    t.is(theirs.code, "CredentialUnavailableError", what);
    t.is(ours.code, "invalid_configuration", what);
    t.true(ours.message.includes(`AZURE_KUBERNETES_${named}`), ours.message);
    t.false(ours.message.includes("secret"), ours.message);
  }
  t.deepEqual(proxy.requests, []);
});

test("without the option the variables mean nothing", async (t) => {
  const proxy = await startProxy(t);
  const env = {
    AZURE_KUBERNETES_CA_FILE: proxy.ca,
    AZURE_KUBERNETES_CA_DATA: "both are set",
    AZURE_AUTHORITY_HOST: "https://127.0.0.1:1",
  };
  const { ours, requests } = await outcomeOf(t, proxy, env, false);
  t.is(ours.code, "managed_identity_unreachable_network");
  t.deepEqual(requests, []);
});
