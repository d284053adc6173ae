// `doctor --for`: the resource by the service's host name, the one request with the token, and what its response means.

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { run } from "./support/command-line.mjs";
import { startEndpoint } from "./support/endpoint.mjs";
import { loadSource } from "./support/source-module.mjs";

const require = createRequire(import.meta.url);
const { createCertificate, systemAssignedIdentity, tenantId } = require("managed-identity-native/emulator");
const { findService } = await loadSource("cli/azure-services");

const VAULT = "my-vault.vault.azure.net";
const ACCOUNT = "myaccount.blob.core.windows.net";
const COSMOS = "mydb.documents.azure.com";
const OWN = "api.contoso.example";
const LOOPBACK_DNS = fileURLToPath(new URL("support/loopback-dns.cjs", import.meta.url));
const OTHER_TENANT = "0d9ff1a6-7a1c-4c3b-8f8a-4a2b6f1c9e55";

const certificate = await createCertificate({ names: [VAULT, ACCOUNT, COSMOS, OWN] });
const directory = mkdtempSync(join(tmpdir(), "cli-doctor-"));
writeFileSync(join(directory, "ca.pem"), certificate.pem);
test.after.always(() => rmSync(directory, { recursive: true }));

/** Starts a service; `respond` receives each request and the response. */
async function startService(t, respond) {
  const requests = [];
  const server = https.createServer(
    { cert: certificate.pem, key: certificate.keyPem },
    (incoming, outgoing) => {
      requests.push(incoming);
      respond(incoming, outgoing);
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { requests, port: server.address().port };
}

/** Runs the doctor with an emulated identity, and returns what it printed. */
async function doctor(t, args, { env = {} } = {}) {
  const endpoint = await startEndpoint(t);
  const variables = {
    ...endpoint.env,
    NODE_EXTRA_CA_CERTS: join(directory, "ca.pem"),
    NODE_OPTIONS: `--require=${LOOPBACK_DNS}`,
    ...env,
  };
  const ended = await run(t, ["doctor", ...args], { env: variables });
  t.is(ended.stderr, "");
  return { ...ended, endpoint };
}

/** Runs the doctor for a service that responds with `response`. */
async function check(
  t,
  { status = 200, headers = {}, body = "" },
  { host = VAULT, path = "", args = [] } = {},
) {
  const service = await startService(t, (_, outgoing) => {
    outgoing.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
  });
  const url = `https://${host}:${service.port}${path}`;
  const { code, stdout } = await doctor(t, ["--json", "--for", url, ...args]);
  const report = JSON.parse(stdout);
  t.is(report.exitCode, code);
  t.is(service.requests.length, 1);
  return { code, report, requests: service.requests };
}

for (const [host, resource, path] of [
  ["my-vault.vault.azure.net", "https://vault.azure.net", "/secrets?api-version=7.4&maxresults=1"],
  ["my-vault.vault.azure.cn", "https://vault.azure.cn", "/secrets?api-version=7.4&maxresults=1"],
  [
    "my-vault.vault.usgovcloudapi.net",
    "https://vault.usgovcloudapi.net",
    "/secrets?api-version=7.4&maxresults=1",
  ],
  ["hsm.managedhsm.azure.net", "https://managedhsm.azure.net", "/keys?api-version=7.4&maxresults=1"],
  ["a.blob.core.windows.net", "https://storage.azure.com", "/?comp=list&maxresults=1"],
  ["a.queue.core.chinacloudapi.cn", "https://storage.azure.com", "/?comp=list&maxresults=1"],
  ["a.table.core.usgovcloudapi.net", "https://storage.azure.com", "/Tables?$top=1"],
  ["a.file.core.windows.net", "https://storage.azure.com", "/?comp=list&maxresults=1"],
  ["a.dfs.core.windows.net", "https://storage.azure.com", "/?resource=account&maxResults=1"],
  ["management.azure.com", "https://management.azure.com", "/subscriptions?api-version=2022-12-01"],
  ["graph.microsoft.com", "https://graph.microsoft.com", "/v1.0/applications?$top=1&$select=id"],
  ["a.azconfig.io", "https://appconfig.azure.com", "/keys?api-version=1.0"],
  ["a.documents.azure.com", "https://a.documents.azure.com", "/"],
  ["a.search.windows.net", "https://search.azure.com", "/indexes?api-version=2024-07-01&$select=name"],
  ["a.openai.azure.com", "https://cognitiveservices.azure.com", "/openai/models?api-version=2024-10-21"],
  ["a.servicebus.windows.net", "https://servicebus.azure.net", undefined],
  ["a.database.windows.net", "https://database.windows.net", undefined],
  ["a.postgres.database.azure.com", "https://ossrdbms-aad.database.windows.net", undefined],
  ["a.mysql.database.usgovcloudapi.net", "https://ossrdbms-aad.database.usgovcloudapi.net", undefined],
  ["a.database.usgovcloudapi.net", "https://database.usgovcloudapi.net", undefined],
  ["a.redis.cache.windows.net", "https://redis.azure.com", undefined],
  ["a.azurecr.io", "https://containerregistry.azure.net", undefined],
]) {
  test(`${host}: its tokens are for ${resource}`, (t) => {
    const service = findService(new URL(`https://${host}`));
    t.is(service.resource, resource);
    t.is(service.request?.path, path);
  });
}

for (const host of [
  "vault.azure.net.example",
  "evilvault.azure.net",
  "azure.com",
  "contoso.com",
  "management.azure.com.example",
]) {
  test(`${host}: is not a service of Azure`, (t) => t.is(findService(new URL(`https://${host}`)), undefined));
}

test("docs/resources.md: names the same resources", (t) => {
  const page = readFileSync(new URL("../docs/resources.md", import.meta.url), "utf8");
  for (const host of [
    "vault.azure.cn",
    "a.azconfig.io",
    "management.usgovcloudapi.net",
    "a.search.azure.us",
  ]) {
    const { resource } = findService(new URL(`https://${host}`));
    t.true(page.includes(`\`${resource}\``), resource);
  }
});

for (const status of [200, 204, 400, 404, 405, 409]) {
  test(`status ${status}: the service accepts the token, exit 0`, async (t) => {
    const { code, report, requests } = await check(t, { status });
    t.is(code, 0);
    t.like(report.service, { name: "Key Vault", accepted: true, status, challenge: null, fault: null });
    t.deepEqual(report.advice, []);
    t.is(report.resource, "https://vault.azure.net");
    const [{ method, url, headers }] = requests;
    t.deepEqual([method, url], ["GET", "/secrets?api-version=7.4&maxresults=1"]);
    t.regex(headers.authorization, /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
    const claims = JSON.parse(Buffer.from(headers.authorization.split(".")[1], "base64url"));
    t.is(claims.aud, "https://vault.azure.net");
  });
}

test("a URL with a path: that path is requested, and the report is without its query", async (t) => {
  const { report, requests } = await check(t, {}, { path: "/secrets/name?api-version=7.4" });
  t.is(requests[0].url, "/secrets/name?api-version=7.4");
  t.regex(report.service.url, /\/secrets\/name$/);
});

test("storage: the request has the version that tokens need", async (t) => {
  const { requests } = await check(t, {}, { host: ACCOUNT });
  t.regex(requests[0].headers["x-ms-version"], /^20\d\d-\d\d-\d\d$/);
  t.is(requests[0].headers.authorization.split(" ")[0], "Bearer");
});

test("Cosmos DB: the token is in its own form of the header", async (t) => {
  const { report, requests } = await check(t, {}, { host: COSMOS });
  t.regex(
    decodeURIComponent(requests[0].headers.authorization),
    /^type=aad&ver=1\.0&sig=[\w-]+\.[\w-]+\.[\w-]+$/,
  );
  t.is(report.resource, `https://${COSMOS}`);
});

test("another host: with --resource it is asked as well", async (t) => {
  const { report, code } = await check(t, { status: 403 }, { host: OWN, args: ["--resource", "api://mine"] });
  t.is(code, 1);
  t.like(report.service, { name: null, accepted: false, status: 403 });
  t.is(report.resource, "api://mine");
  t.is(report.token.claims.aud, "api://mine");
});

const KEY_VAULT_CHALLENGE = (resource, tenant) =>
  `Bearer authorization="https://login.microsoftonline.com/${tenant}", resource="${resource}"`;
const CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}';

for (const [condition, header, challenge, advice] of [
  [
    "for another resource",
    KEY_VAULT_CHALLENGE("https://managedhsm.azure.net", tenantId),
    { resource: "https://managedhsm.azure.net", tenant: tenantId },
    /expects a token for https:\/\/managedhsm\.azure\.net: run again with --resource https:\/\/managedhsm\.azure\.net\./,
  ],
  [
    "of another tenant",
    KEY_VAULT_CHALLENGE("https://vault.azure.net", OTHER_TENANT),
    { tenant: OTHER_TENANT },
    new RegExp(`belongs to the tenant ${OTHER_TENANT}, but the token is one of ${tenantId}`),
  ],
  [
    "in the form of storage",
    `Bearer authorization_uri=https://login.microsoftonline.com/${OTHER_TENANT}/oauth2/authorize resource_id=https://vault.azure.net/`,
    { tenant: OTHER_TENANT, resource: "https://vault.azure.net/" },
    /belongs to the tenant/,
  ],
  [
    "with claims",
    `Bearer realm="", error="insufficient_claims", claims="${Buffer.from(CLAIMS).toString("base64")}"`,
    { error: "insufficient_claims", claims: CLAIMS },
    /demands a new token, with the claims of its challenge \(continuous access evaluation\)/,
  ],
  [
    "with a description",
    String.raw`Bearer error="invalid_token", error_description="The \"audience\" is wrong"`,
    { error: "invalid_token", errorDescription: 'The "audience" is wrong' },
    /rejects the token itself/,
  ],
  ["that is missing", undefined, null, /rejects the token itself/],
]) {
  test(`401 with a challenge ${condition}: exit 1 with advice`, async (t) => {
    const headers = header === undefined ? {} : { "WWW-Authenticate": header };
    const { code, report } = await check(t, { status: 401, headers });
    t.is(code, 1);
    t.like(report.service, { accepted: false, status: 401 });
    if (challenge === null) t.is(report.service.challenge, null);
    else t.like(report.service.challenge, challenge);
    t.regex(report.advice.join(" "), advice);
  });
}

for (const [condition, response, expected, advice] of [
  [
    "Key Vault without a role",
    {
      body: {
        error: {
          code: "Forbidden",
          message: "Caller is not authorized",
          innererror: { code: "ForbiddenByRbac" },
        },
      },
    },
    { errorCode: "ForbiddenByRbac", errorMessage: "Caller is not authorized" },
    new RegExp(
      `knows the identity ${systemAssignedIdentity.objectId}, .*a role such as Key Vault Secrets User`,
    ),
  ],
  [
    "Key Vault's firewall",
    {
      body: {
        error: { code: "Forbidden", message: "Client address…", innererror: { code: "ForbiddenByFirewall" } },
      },
    },
    { errorCode: "ForbiddenByFirewall" },
    /network rules may exclude this machine/,
  ],
  [
    "XML of storage",
    { body: "<?xml?><Error><Code>AuthorizationFailure</Code><Message>Not this one.</Message></Error>" },
    { errorCode: "AuthorizationFailure", errorMessage: "Not this one." },
    /network rules/,
  ],
  [
    "a code in a header",
    { headers: { "x-ms-error-code": "AuthorizationPermissionMismatch" } },
    { errorCode: "AuthorizationPermissionMismatch" },
    /assign|Assign/,
  ],
  ["a page of HTML", { body: "<h1>no</h1>" }, { errorCode: null, errorMessage: null }, /Assign/],
]) {
  test(`403, ${condition}: exit 1 with advice`, async (t) => {
    const { code, report } = await check(t, { status: 403, ...response });
    t.is(code, 1);
    t.like(report.service, { accepted: false, status: 403, ...expected });
    t.regex(report.advice.join(" "), advice);
  });
}

for (const [status, advice] of [
  [302, /redirects/],
  [429, /is not known/],
  [503, /is not known/],
]) {
  test(`status ${status}: it is not known whether the token is accepted, exit 1`, async (t) => {
    const headers = { Location: "https://elsewhere.example/" };
    const { code, report } = await check(t, { status, headers });
    t.is(code, 1);
    t.is(report.service.accepted, null);
    t.regex(report.advice.join(" "), advice);
  });
}

test("a service without such a request: only the token is acquired, exit 0", async (t) => {
  const { code, stdout } = await doctor(t, ["--json", "--for", "https://a.database.windows.net"]);
  const report = JSON.parse(stdout);
  t.is(code, 0);
  t.is(report.token.claims.aud, "https://database.windows.net");
  t.like(report.service, { name: "SQL Database", accepted: null, status: null, fault: null });
  t.regex(report.advice.join(" "), /SQL Database is not asked/);
});

test("a name that does not exist: exit 1 with advice", async (t) => {
  const args = ["--json", "--for", "https://a.vault.invalid", "--resource", "https://vault.azure.net"];
  const { code, stdout } = await doctor(t, args);
  t.is(code, 1);
  const { advice, service } = JSON.parse(stdout);
  t.is(service.fault, "ENOTFOUND");
  t.regex(advice.join(" "), /cannot be resolved/);
});

test("a certificate that is not trusted, and a service that does not respond: exit 1 with advice", async (t) => {
  const service = await startService(t, () => {});
  const url = `https://${VAULT}:${service.port}`;
  const untrusted = await doctor(t, ["--json", "--for", url], { env: { NODE_EXTRA_CA_CERTS: undefined } });
  t.is(untrusted.code, 1);
  t.regex(JSON.parse(untrusted.stdout).advice.join(" "), /is not trusted/);
  t.is(service.requests.length, 0, "no token was sent");
  const silent = await doctor(t, ["--json", "--for", url, "--timeout", "3000"]);
  t.is(silent.code, 1);
  t.is(JSON.parse(silent.stdout).service.fault, "ETIMEDOUT");
});

for (const status of [401, 403]) {
  test(`${status} that echoes the token: no output contains it`, async (t) => {
    let token = "";
    const service = await startService(t, ({ headers }, outgoing) => {
      token = headers.authorization.slice("Bearer ".length);
      const challenge = `Bearer error="x", error_description="${token}", claims="${Buffer.from(token).toString("base64")}"`;
      outgoing
        .writeHead(status, { "WWW-Authenticate": challenge })
        .end(JSON.stringify({ error: { code: "x", message: `the token ${token} is wrong` } }));
    });
    for (const args of [["--json"], []]) {
      const { stdout } = await doctor(t, [...args, "--for", `https://${VAULT}:${service.port}`]);
      t.false(stdout.includes(token.split(".")[2]));
      t.true(stdout.includes("the token"));
    }
  });
}

test("without a token: the service is not asked", async (t) => {
  const service = await startService(t, (_, outgoing) => outgoing.end());
  const env = { IDENTITY_ENDPOINT: "http://127.0.0.1:1/msi/token" };
  const { code, stdout } = await doctor(t, ["--json", "--for", `https://${VAULT}:${service.port}`], { env });
  t.is(code, 3);
  t.is(JSON.parse(stdout).service, null);
  t.is(service.requests.length, 0);
});

test("text: the section Service", async (t) => {
  const body = { error: { code: "Forbidden", message: "Caller is not authorized" } };
  const service = await startService(t, (_, outgoing) => outgoing.writeHead(403).end(JSON.stringify(body)));
  const url = `https://${VAULT}:${service.port}`;
  const { stdout } = await doctor(t, ["--for", url]);
  const [, text] = stdout.split("\n\nService     ");
  t.deepEqual(text.split("\n").slice(0, 3), [
    `Key Vault, ${url}/`,
    "            does not accept the token, with status 403",
    "            Forbidden: Caller is not authorized",
  ]);
});
