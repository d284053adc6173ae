// `doctor`: its report for every source, its advice on each failure, the redaction of secrets, and its layout.

import { createRequire } from "node:module";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { inTerminal, PROGRAM, run, startCommand } from "./support/command-line.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { ownAddress } from "./support/own-address.mjs";
import { loadSource } from "./support/source-module.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityErrorCodes, version } = require("managed-identity-native");
const {
  systemAssignedIdentity: system,
  tenantId,
  userAssignedIdentity: first,
} = require("managed-identity-native/emulator");

const { adviceForError, adviceForUnreachable } = await loadSource("cli/advice");
const { isUsedBy } = await loadSource("cli/environment");
const { formatReport } = await loadSource("cli/format-report");

const DEFAULT_RESOURCE = "https://management.azure.com";
const DAY_SECONDS = 86_400;
const ESCAPE = "\u001b";

/** Longer than the defaults, since the machine that runs the tests may be busy. */
const LONG_TIMEOUT = ["--timeout", "60000"];

/** Runs `doctor --json` and parses its output. */
async function runJson(t, env, args = []) {
  const { code, stdout, stderr } = await run(t, ["doctor", "--json", ...LONG_TIMEOUT, ...args], { env });
  t.is(stderr, "");
  const report = JSON.parse(stdout);
  t.is(report.exitCode, code);
  return report;
}

/** Runs `doctor` and returns its text. */
async function runText(t, env, args = []) {
  const { code, stdout, stderr } = await run(t, ["doctor", ...LONG_TIMEOUT, ...args], { env });
  t.is(stderr, "");
  return { code, text: stdout };
}

/** By source: its name, its variables with the displayed values, and the identity of the token. */
const SOURCES = {
  "app-service": ({ env }) => ({
    source: "AppService",
    variables: [
      { name: "IDENTITY_ENDPOINT", value: env.IDENTITY_ENDPOINT, decides: true },
      { name: "IDENTITY_HEADER", value: "set, 32 characters", decides: true },
    ],
    identity: system,
  }),
  imds: ({ env }) => ({
    source: "DefaultToImds",
    variables: [
      {
        name: "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        value: `${env.AZURE_POD_IDENTITY_AUTHORITY_HOST}/`,
        decides: false,
      },
    ],
    identity: system,
  }),
  "cloud-shell": ({ env }) => ({
    source: "CloudShell",
    variables: [{ name: "MSI_ENDPOINT", value: env.MSI_ENDPOINT, decides: true }],
    identity: system,
  }),
  "machine-learning": ({ env }) => ({
    source: "MachineLearning",
    variables: [
      { name: "MSI_ENDPOINT", value: env.MSI_ENDPOINT, decides: true },
      { name: "MSI_SECRET", value: "set, 32 characters", decides: true },
      { name: "DEFAULT_IDENTITY_CLIENT_ID", value: system.clientId, decides: false },
    ],
    identity: system,
  }),
  "service-fabric": ({ env }) => ({
    source: "ServiceFabric",
    variables: [
      { name: "IDENTITY_ENDPOINT", value: env.IDENTITY_ENDPOINT, decides: true },
      { name: "IDENTITY_HEADER", value: "set, 32 characters", decides: true },
      { name: "IDENTITY_SERVER_THUMBPRINT", value: env.IDENTITY_SERVER_THUMBPRINT, decides: true },
    ],
    identity: system,
  }),
  "workload-identity": ({ env }) => ({
    source: "WorkloadIdentity",
    variables: [
      { name: "AZURE_FEDERATED_TOKEN_FILE", value: env.AZURE_FEDERATED_TOKEN_FILE, decides: true },
      { name: "AZURE_TENANT_ID", value: tenantId, decides: true },
      { name: "AZURE_CLIENT_ID", value: first.clientId, decides: false },
      { name: "AZURE_AUTHORITY_HOST", value: env.AZURE_AUTHORITY_HOST, decides: false },
      { name: "NODE_EXTRA_CA_CERTS", value: env.NODE_EXTRA_CA_CERTS, decides: false },
    ],
    identity: first,
    reportedIdentity: { kind: "client-id", id: first.clientId },
  }),
};

/** Every test's environment has this variable, so that no test contacts the real address. */
const IMDS_OVERRIDE = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

for (const [source, expect] of Object.entries(SOURCES)) {
  testWith(test, ...neededBySource(source))(`${source}, --json: reports all facts`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const report = await runJson(t, endpoint.env);
    const expected = expect(endpoint);
    const { token, variables, ...rest } = report;
    t.deepEqual(
      variables.filter(({ name }) => name !== IMDS_OVERRIDE || source === "imds"),
      expected.variables,
    );
    t.deepEqual(rest, {
      format: 1,
      sourceOption: null,
      service: null,
      version,
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      source: expected.source,
      identity: expected.reportedIdentity ?? { kind: "system-assigned", id: null },
      resource: DEFAULT_RESOURCE,
      endpoint: { available: true, reason: null },
      error: null,
      advice: [],
      exitCode: 0,
    });
    const { claims, durationInMs, expiresOn, refreshOn, secondsLeft, ...request } = token;
    t.deepEqual(request, { tokenEndpoint: endpoint.url, attempts: 1 });
    t.true(Number.isInteger(durationInMs) && durationInMs >= 0);
    t.true(secondsLeft > DAY_SECONDS - 120 && secondsLeft <= DAY_SECONDS, String(secondsLeft));
    t.true(Date.parse(refreshOn) < Date.parse(expiresOn));
    const issuer = `https://sts.windows.net/${tenantId}/`;
    const { iat, nbf, exp, ...named } = claims;
    t.deepEqual([nbf, exp], [iat, iat + 300 + DAY_SECONDS]);
    t.deepEqual(named, {
      aud: DEFAULT_RESOURCE,
      iss: issuer,
      tid: tenantId,
      oid: expected.identity.objectId,
      sub: expected.identity.objectId,
      appid: expected.identity.clientId,
      idtyp: "app",
      xms_mirid: expected.identity.resourceId,
      ver: "1.0",
    });
  });

  testWith(test, ...neededBySource(source))(
    `${source}, text: reports the facts without secrets and the token`,
    async (t) => {
      const tokens = [];
      const endpoint = await startEndpoint(t, source);
      endpoint.always({
        body: (body) => {
          if (body.access_token) tokens.push(body.access_token);
          return body;
        },
      });
      const { source: name, variables, identity } = expect(endpoint);
      const { code, text } = await runText(t, endpoint.env);
      t.is(code, 0);
      t.regex(text, new RegExp(`^Source {6}${name}$`, "m"));
      const deciding = variables.filter(({ decides }) => decides).map((variable) => variable.name);
      const because =
        deciding.length > 0 ? `because of ${deciding.join(", ")}` : "because nothing selects another";
      t.true(text.includes(because), text);
      for (const variable of variables)
        t.regex(text, new RegExp(`\\b${variable.name} +${escapeRegExp(variable.value)}$`, "m"));
      t.regex(text, /^Endpoint {4}responds$/m);
      t.regex(
        text,
        /^Token {7}acquired for https:\/\/management\.azure\.com\n {12}from https?:\S+, with 1 request in \d+ ms\n {12}(1 d|23 h 5\d min) left, until 2\S+Z\n/m,
      );
      t.regex(text, new RegExp(`^ {12}oid +${identity.objectId}$`, "m"));
      t.false(text.includes("What to do"));
      t.false(text.includes(ESCAPE));
      t.is(tokens.length, 1);
      const json = (await run(t, ["doctor", "--json", ...LONG_TIMEOUT], { env: endpoint.env })).stdout;
      const { IDENTITY_HEADER, MSI_SECRET } = endpoint.env;
      const parts = tokens.flatMap((token) => [token, ...token.split(".")]);
      for (const secret of [...parts, IDENTITY_HEADER, MSI_SECRET].filter(Boolean)) {
        t.false(text.includes(secret) || json.includes(secret));
      }
    },
  );
}

function escapeRegExp(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

for (const [option, field, parameter] of [
  ["client-id", "clientId", "client_id"],
  ["object-id", "objectId", "object_id"],
  ["resource-id", "resourceId", "msi_res_id"],
]) {
  test(`--${option} and --resource: are in the request`, async (t) => {
    const endpoint = await startEndpoint(t, "imds");
    const args = [`--${option}`, first[field], "--resource", RESOURCE];
    const report = await runJson(t, endpoint.env, args);
    t.deepEqual(report.identity, { kind: option, id: first[field] });
    t.is(report.resource, RESOURCE);
    t.is(report.token.claims.oid, first.objectId);
    const query = endpoint.requests.at(-1).query;
    t.deepEqual([query.resource, query[parameter]], [RESOURCE, first[field]]);
    const { text } = await runText(t, endpoint.env, args);
    t.true(text.includes(`Identity    user-assigned, ${option} ${first[field]}\n`));
  });
}

test("a missing identity: exit 1 with the service's message and advice", async (t) => {
  const endpoint = await startEndpoint(t, "imds", { systemAssigned: false, identities: [] });
  const report = await runJson(t, endpoint.env);
  t.is(report.exitCode, 1);
  t.is(report.token, null);
  const { correlationId, errorMessage, ...error } = report.error;
  t.deepEqual(error, {
    errorCode: "invalid_request",
    statusCode: 400,
    source: "DefaultToImds",
    endpoint: endpoint.url,
    attempts: 1,
    retryable: false,
    cause: null,
  });
  t.regex(correlationId, /^[0-9a-f-]{36}$/);
  t.regex(errorMessage, /Identity not found/);
  t.is(report.advice.length, 1);
  t.regex(report.advice[0], /az vm identity assign/);
  const { code, text } = await runText(t, endpoint.env);
  t.is(code, 1);
  t.regex(
    text,
    /^Token {7}none for https:\/\/management\.azure\.com\n {12}invalid_request: .*Identity not found/m,
  );
  t.regex(text, /^ {12}correlation id [0-9a-f-]{36}$/m);
  t.regex(text, /^What to do {2}Assign an identity to the machine/m);
});

for (const [condition, source, { options, args = [], env = {}, fault }, code, advice, ...capabilities] of [
  ["an unknown resource", "imds", { options: { resources: [] } }, "invalid_resource", /--resource/],
  ["an invalid resource", "imds", { args: ["--resource", "vault"] }, "invalid_resource", /--resource/],
  [
    "an unknown client",
    "imds",
    { args: ["--client-id", tenantId] },
    "invalid_request",
    /value of --client-id is the client id.*az vm identity assign/,
  ],
  [
    "an unknown object id",
    "app-service",
    { args: ["--object-id", tenantId] },
    undefined,
    /value of --object-id is the object id.*az webapp identity assign --identities/,
  ],
  [
    "a host name as the resource",
    "app-service",
    { args: ["--resource", "vault.azure.net"] },
    "invalid_resource",
    /^Run again with --resource https:\/\/vault\.azure\.net\.$/,
  ],
  [
    "a missing token file",
    "workload-identity",
    { env: { AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token" } },
    "unable_to_read_secret_file",
    /AZURE_FEDERATED_TOKEN_FILE names a file that cannot be read/,
  ],
  ["an outdated secret", "app-service", { env: { IDENTITY_HEADER: "old" } }, undefined, /Restart the app/],
  [
    "an unknown audience",
    "cloud-shell",
    { options: { resources: [] } },
    "AudienceNotSupported",
    /--resource to an audience/,
  ],
  [
    "an id for a source without user-assigned identities",
    "cloud-shell",
    { args: ["--client-id", "a"] },
    "unable_to_create_cloud_shell",
    /Omit --client-id/,
  ],
  [
    "another certificate",
    "service-fabric",
    { env: { IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) } },
    "invalid_server_thumbprint",
    /Restart the service/,
  ],
  [
    "an unknown workload",
    "workload-identity",
    { env: { AZURE_CLIENT_ID: tenantId } },
    "unauthorized_client",
    /AZURE_CLIENT_ID/,
    "extra trust roots",
  ],
  [
    "a malformed URL",
    "app-service",
    { env: { IDENTITY_ENDPOINT: "here" } },
    "identity_endpoint_url_malformed",
    /remove it there/,
  ],
  [
    "throttling",
    "app-service",
    { args: ["--timeout", "20000"], fault: { status: 429, headers: { "Retry-After": "60" } } },
    undefined,
    /too many requests/,
  ],
  [
    "a server error",
    "app-service",
    { args: ["--timeout", "20000"], fault: { status: 503, headers: { "Retry-After": "60" } } },
    undefined,
    /has a problem/,
  ],
]) {
  testWith(test, ...capabilities)(`${condition}: exit 1 with advice`, async (t) => {
    const endpoint = await startEndpoint(t, source, options);
    if (fault) endpoint.always(fault);
    const report = await runJson(t, { ...endpoint.env, ...env }, args);
    t.is(report.exitCode, 1);
    t.is(report.error.errorCode, code ?? "managed_identity_failed_response");
    t.regex(report.advice[0], advice);
    t.is(report.advice.length, report.error.retryable ? 2 : 1);
  });
}

for (const [source, prepare, advice] of [
  ["app-service", (endpoint) => endpoint.close(), /IDENTITY_ENDPOINT/],
  ["cloud-shell", (endpoint) => endpoint.close(), /Restart the shell/],
  ["machine-learning", (endpoint) => endpoint.close(), /compute/],
  ["service-fabric", (endpoint) => endpoint.close(), /manifest/],
  ["workload-identity", (endpoint) => endpoint.always({ reset: true }), /egress/],
  ["imds", (endpoint) => endpoint.close(), /^AZURE_POD_IDENTITY_AUTHORITY_HOST is set.*unset it/],
  ["imds", (endpoint) => endpoint.hold(), /^AZURE_POD_IDENTITY_AUTHORITY_HOST is set.*unset it/],
]) {
  test(`${source}, the endpoint does not respond (${prepare}): exit 3 with advice`, async (t) => {
    const endpoint = await startEndpoint(t, source, { host: ownAddress() });
    await prepare(endpoint);
    const report = await runJson(t, endpoint.env, ["--timeout", "700"]);
    t.is(report.exitCode, 3);
    t.false(report.endpoint.available);
    t.truthy(report.endpoint.reason);
    t.is(report.token, null);
    t.regex(report.error.errorCode, /^(managed_identity_unreachable_network|network_unavailable)$/);
    t.regex(report.advice[0], advice);
    t.is(/emulator/.test(report.advice.join(" ")), source === "imds");
  });
}

for (const [condition, source, env] of [
  ["a missing token file", "workload-identity", { AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token" }],
  ["another certificate", "service-fabric", { IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) }],
]) {
  test(`${condition}: is not reported as an unreachable endpoint`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const { code, text } = await runText(t, { ...endpoint.env, ...env });
    t.is(code, 1);
    t.regex(text, /^Endpoint {4}could not be contacted$/m);
    t.false(text.includes("usermod"));
    t.false(text.includes("OtherError"));
  });
}

test("unreachable IMDS at its default address: advises on firewalls", (t) => {
  const [own] = adviceForUnreachable("DefaultToImds", [], {});
  t.regex(own, /connect to 169\.254\.169\.254:80.*firewall/);
});

for (const [condition, env, advice] of [
  ["AZURE_CLIENT_ID", { AZURE_CLIENT_ID: first.clientId }, `--client-id ${first.clientId}.`],
  ["a malformed client id", { AZURE_CLIENT_ID: "s3cret" }, '--client-id "$AZURE_CLIENT_ID".'],
  [
    "MANAGED_IDENTITY",
    {
      AZURE_CLIENT_ID: "other",
      MANAGED_IDENTITY: JSON.stringify({ ManagedIdentityIdType: "ObjectId", Id: first.objectId }),
    },
    `--object-id ${first.objectId}.`,
  ],
  ["an empty client id", { AZURE_CLIENT_ID: "" }, "would fail here with missing_client_id: AZURE_CLIENT_ID "],
  [
    "invalid JSON",
    { MANAGED_IDENTITY: "s3cret" },
    "would fail here with invalid_configuration: MANAGED_IDENTITY ",
  ],
]) {
  test(`${condition}: warns that fromEnvironment() differs, unless an option selects an identity`, async (t) => {
    const endpoint = await startEndpoint(t);
    const environment = { ...endpoint.env, ...env };
    const report = await runJson(t, environment);
    t.is(report.exitCode, 0);
    t.deepEqual(report.identity, { kind: "system-assigned", id: null });
    t.true(report.advice[0].includes(advice), report.advice[0]);
    t.false(JSON.stringify(report).includes("s3cret"));
    const shown = report.variables.find(({ name }) => name === "MANAGED_IDENTITY")?.value;
    t.is(
      shown,
      env.MANAGED_IDENTITY && `set, ${env.MANAGED_IDENTITY.length} characters; for fromEnvironment()`,
    );
    t.deepEqual((await runJson(t, environment, ["--client-id", first.clientId])).advice, []);
  });
}

test("fromEnvironment() would use the same identity: no advice", async (t) => {
  const endpoint = await startEndpoint(t);
  const MANAGED_IDENTITY = '{"ManagedIdentityIdType":"SystemAssigned"}';
  t.deepEqual((await runJson(t, { ...endpoint.env, MANAGED_IDENTITY })).advice, []);
});

test("unreachable IMDS, text: exit 3 with the reason and the emulator as advice", async (t) => {
  const { code, text } = await runText(t, {});
  t.is(code, 3);
  t.regex(text, /^Source {6}DefaultToImds\n {12}because nothing selects another source\n/m);
  t.regex(text, /^Endpoint {4}does not respond\n {12}\S/m);
  t.regex(
    text,
    /^Token {7}none for https:\/\/management\.azure\.com\n {12}managed_identity_unreachable_network/m,
  );
  t.regex(text, /npx --no managed-identity-native emulator/);
});

test("one variable of a source is missing: the advice names both", async (t) => {
  const advice = async (env) => (await runJson(t, env)).advice;
  t.deepEqual((await advice({ IDENTITY_ENDPOINT: "http://127.0.0.1:1/" })).slice(0, 2), [
    "IDENTITY_ENDPOINT is set, but AppService also needs IDENTITY_HEADER.",
    "IDENTITY_ENDPOINT is set, but AzureArc also needs IMDS_ENDPOINT.",
  ]);
  t.deepEqual(
    (await advice({ AZURE_TENANT_ID: tenantId, AZURE_CLIENT_ID: tenantId }))[0],
    "AZURE_TENANT_ID is set, but WorkloadIdentity also needs AZURE_FEDERATED_TOKEN_FILE.",
  );
  t.false((await advice({})).some((sentence) => /also needs/.test(sentence)));
});

testWith(test, "case-sensitive variables")(
  "variables with unexpected values: only their length is shown",
  async (t) => {
    const secret = "S3cr3tS3cr3tS3cr3tS3cr3tS3cr3t";
    const env = {
      IDENTITY_ENDPOINT: `http://user:${secret}@127.0.0.1:1/path?code=${secret}#${secret}`,
      MSI_ENDPOINT: secret,
      MSI_SECRET: "",
      AZURE_CLIENT_ID: secret,
      AZURE_TENANT_ID: `${secret}.${secret}~`,
      DEFAULT_IDENTITY_CLIENT_ID: secret,
      AZURE_FEDERATED_TOKEN_FILE: secret,
      AZURE_AUTHORITY_HOST: `data:${secret}`,
      HTTPS_PROXY: `http://${secret}:${secret}@127.0.0.1:1`,
      https_proxy: `//user:${secret}@127.0.0.1`,
      NO_PROXY: secret,
      IMDS_ENDPOINT: `http://127.0.0.1:1/${"a".repeat(300)}${secret}`,
      IDENTITY_SERVER_THUMBPRINT: secret,
    };
    const report = await runJson(t, env);
    const shown = Object.fromEntries(report.variables.map(({ name, value }) => [name, value]));
    const measured = `set, ${secret.length} characters`;
    t.like(shown, {
      IDENTITY_ENDPOINT: "http://127.0.0.1:1/path (omitted: user info, query, fragment)",
      MSI_ENDPOINT: `${measured}, not an http or https URL`,
      MSI_SECRET: "set, but empty: counts as not set",
      AZURE_CLIENT_ID: `${measured}, not in the format of an id`,
      AZURE_TENANT_ID: "set, 62 characters, not in the format of an id",
      DEFAULT_IDENTITY_CLIENT_ID: `${measured}, not in the format of an id`,
      AZURE_FEDERATED_TOKEN_FILE: `${measured}, not an absolute path`,
      AZURE_AUTHORITY_HOST: "set, 35 characters, not an http or https URL",
      HTTPS_PROXY: "http://127.0.0.1:1/ (omitted: user info)",
      https_proxy: "set, 47 characters, not an http or https URL",
      NO_PROXY: measured,
      IMDS_ENDPOINT: "set, 349 characters",
      IDENTITY_SERVER_THUMBPRINT: `${measured}, not in the format of an id`,
    });
    t.false(JSON.stringify(report).includes(secret));
    t.false((await runText(t, env)).text.includes(secret));
  },
);

test("a secret inside a URL: is redacted", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const { env } = endpoint;
  const twice = { ...env, IDENTITY_ENDPOINT: `${env.IDENTITY_ENDPOINT}/${env.IDENTITY_HEADER}` };
  const report = await runJson(t, twice);
  t.is(report.variables[0].value, `${env.IDENTITY_ENDPOINT}/<redacted>`);
  t.false(JSON.stringify(report).includes(env.IDENTITY_HEADER));
  t.false((await runText(t, twice)).text.includes(env.IDENTITY_HEADER));
});

for (const source of ["app-service", "machine-learning", "service-fabric", "workload-identity", "imds"]) {
  for (const status of [400, 200]) {
    testWith(test, ...neededBySource(source))(
      `${source} echoes the secret and the token with ${status}: the report contains neither`,
      async (t) => {
        const endpoint = await startEndpoint(t, source);
        const { IDENTITY_HEADER, MSI_SECRET } = endpoint.env;
        const seen = new Set([IDENTITY_HEADER, MSI_SECRET].filter(Boolean));
        const tokens = new Set();
        endpoint.always({
          status,
          body: (body, { headers, form }) => {
            if (body.access_token) tokens.add(body.access_token);
            if (form?.client_assertion) seen.add(form.client_assertion);
            const secret = form?.client_assertion ?? headers["x-identity-header"] ?? headers.secret;
            const echoed = [secret, body.access_token];
            // A quotation is cut off at some length, so each of the two is first once.
            const description = (status === 200 ? echoed : echoed.reverse()).join(" ");
            return { error: "denied", error_description: description, access_token: body.access_token };
          },
        });
        const json = JSON.stringify(await runJson(t, endpoint.env));
        const { code, text } = await runText(t, endpoint.env);
        t.not(code, 0);
        t.is(tokens.size, 2, "two tokens were requested");
        t.is(seen.size, source === "imds" ? 0 : 1);
        const parts = [...tokens, ...seen].flatMap((secret) => [
          secret.slice(0, 200),
          secret.split(".")[1] ?? secret,
        ]);
        for (const output of [json, text]) {
          t.true(output.includes("denied"));
          for (const part of parts) t.false(output.includes(part));
        }
      },
    );
  }
}

test("remaining lifetime: is formatted in days, hours, minutes and seconds", async (t) => {
  const { env } = await startEndpoint(t);
  const report = await runJson(t, env);
  const remaining = (secondsLeft) => {
    const text = formatReport({ ...report, token: { ...report.token, secondsLeft } }, {});
    return /^ {12}(.*) left, until/m.exec(text)[1];
  };
  t.deepEqual([0, 59, 60, 3_599, 3_600, 86_399, 86_400, 90_061, 172_800].map(remaining), [
    "0 s",
    "59 s",
    "1 min",
    "59 min",
    "1 h",
    "23 h 59 min",
    "1 d",
    "1 d 1 h 1 min",
    "2 d",
  ]);
});

/** Returns an unsigned token with these claims. */
function tokenWith(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** Starts an endpoint that returns this token. */
function startEndpointWithToken(t, accessToken, lifetime = 3600) {
  const tokens = () => ({ accessToken, expiresOn: Math.floor(Date.now() / 1000) + lifetime });
  return startEndpoint(t, "app-service", { tokens });
}

test("claims: only listed ones are shown, without control characters", async (t) => {
  const claims = {
    aud: `a${ESCAPE}[2Jb\r\nc`,
    oid: "x".repeat(900),
    roles: ["Reader", `Writer${ESCAPE}`],
    tid: { a: 1 },
    exp: 32_503_680_000,
    iat: 1e300,
    name: "Hidden Name",
    unique_name: "hidden@example.com",
    ipaddr: "10.9.8.7",
    uti: "hidden-uti",
  };
  const { env } = await startEndpointWithToken(t, tokenWith(claims));
  const report = await runJson(t, env);
  t.deepEqual(report.token.claims, {
    aud: "a [2Jb c",
    oid: "x".repeat(500),
    roles: ["Reader", "Writer "],
    iat: 1e300,
    exp: 32_503_680_000,
  });
  const { code, text } = await runText(t, env);
  t.is(code, 0);
  t.regex(text, /^ {12}roles {2}Reader, Writer $/m);
  t.regex(text, /^ {12}exp {4}32503680000 \(3000-01-01T00:00:00\.000Z\)$/m);
  t.regex(text, /^ {12}iat {4}1e\+300$/m);
  for (const hidden of ["idden", ESCAPE, "\r"]) t.false(text.includes(hidden));
});

for (const token of ["opaque", "a.b.c", "eyJ.bnVsbA.x", ".."]) {
  test(`an opaque token (${token}): exit 0 without claims`, async (t) => {
    const { env } = await startEndpointWithToken(t, token, 90);
    const report = await runJson(t, env);
    t.is(report.token.claims, null);
    t.is(report.token.refreshOn, null);
    const { code, text } = await runText(t, env);
    t.is(code, 0);
    t.regex(text, /^Claims {6}the token is not a JWT/m);
    t.false(text.includes(token === "opaque" ? "opaque" : `${token}\n`));
  });
}

test("a token that is not valid yet: the advice is about a slow clock", async (t) => {
  const now = Math.floor(Date.now() / 1000);
  const early = await startEndpointWithToken(t, tokenWith({ nbf: now + 3000 }));
  t.regex((await runJson(t, early.env)).advice[0], /clock.*slow/);
  const inTime = await startEndpointWithToken(t, tokenWith({ nbf: now - 300 }));
  t.deepEqual((await runJson(t, inTime.env)).advice, []);
});

test("every error code of the package: has advice of its own", (t) => {
  const codes = Object.values(ManagedIdentityErrorCodes).flatMap((code) =>
    typeof code === "string" ? code : Object.values(code),
  );
  // The doctor cannot receive the codes of the constructor and of getToken. The rest are msal-node's, or a service's.
  const others = [
    "missing_client_id",
    "exactly_one_scope_expected",
    "unable_to_create_azure_arc",
    "unable_to_create_source",
    "url_parse_error",
    "managed_identity_failed_response",
    "managed_identity_unreachable_network",
  ];
  const unknown = adviceForError({ errorCode: "x", errorMessage: "x", source: "x", retryable: false })[0];
  for (const errorCode of codes.filter((code) => !others.includes(code))) {
    const [advice] = adviceForError({ errorCode, errorMessage: "x", source: "x", retryable: false });
    t.not(advice, unknown, errorCode);
    t.regex(advice, /^[A-Z].*\.$/, errorCode);
  }
  for (const source of [
    "AppService",
    "AzureArc",
    "CloudShell",
    "DefaultToImds",
    "MachineLearning",
    "ServiceFabric",
    "WorkloadIdentity",
  ]) {
    for (const errorCode of ["managed_identity_failed_response", "managed_identity_unreachable_network"]) {
      t.not(adviceForError({ errorCode, errorMessage: "x", source, retryable: false })[0], unknown, source);
    }
  }
});

for (const [output, terminal, env, coloured] of [
  ["a pipe", false, {}, false],
  ["a terminal", true, {}, true],
  ["a terminal with NO_COLOR", true, { NO_COLOR: "1" }, false],
  ["a terminal with an empty NO_COLOR", true, { NO_COLOR: "" }, true],
  ["a dumb terminal", true, { TERM: "dumb" }, false],
  ["a pipe with FORCE_COLOR", false, { FORCE_COLOR: "1" }, true],
  // Node.js 24 warns of these two variables itself.
  [
    "a pipe with FORCE_COLOR and NO_COLOR",
    false,
    { FORCE_COLOR: "1", NO_COLOR: "1", NODE_NO_WARNINGS: "1" },
    true,
  ],
  ["a terminal with FORCE_COLOR=0", true, { FORCE_COLOR: "0" }, false],
]) {
  testWith(test, ...(terminal ? ["util-linux script"] : []))(
    `${output}: is ${coloured ? "" : "not "}coloured`,
    async (t) => {
      const endpoint = await startEndpoint(t);
      const command = [...PROGRAM, "doctor", ...LONG_TIMEOUT];
      const options = { env: { ...endpoint.env, ...env } };
      const { code, stdout, stderr } = await startCommand(
        t,
        terminal ? inTerminal(command) : command,
        options,
      ).ended;
      t.deepEqual([code, stderr], [0, ""]);
      t.is(stdout.includes(`${ESCAPE}[`), coloured, stdout);
      t.is(stdout.includes(`${ESCAPE}[32mresponds${ESCAPE}[39m`), coloured);
    },
  );
}

test("--json with FORCE_COLOR: is not coloured", async (t) => {
  const { env } = await startEndpoint(t);
  const { stdout } = await run(t, ["doctor", "--json"], { env: { ...env, FORCE_COLOR: "1" } });
  t.notThrows(() => JSON.parse(stdout));
});

testWith(test, "util-linux script")("long lines: are wrapped in a terminal, but not in a pipe", async (t) => {
  const line = `stty cols 60; "$@"`;
  const command = inTerminal(["sh", "-c", line, "sh", ...PROGRAM, "doctor"]);
  const { code, stdout } = await startCommand(t, command, { env: { NO_COLOR: "1" } }).ended;
  t.is(code, 3);
  const advice = stdout.replaceAll("\r", "").split("What to do")[1].trim().split("\n");
  t.true(advice.length > 5);
  for (const part of advice) t.true(part.length <= 60, part);
  const { text } = await runText(t, {});
  t.is(text.split("What to do")[1].trim().split("\n").length, 2);
});

for (const source of ["app-service", "imds", "workload-identity"]) {
  testWith(test, ...neededBySource(source))(
    `${source}, --probe: exit 0 without a token if the endpoint responds, exit 1 if not`,
    async (t) => {
      const endpoint = await startEndpoint(t, source, { host: ownAddress() });
      const { env } = endpoint;
      const responding = await run(t, ["doctor", "--probe", ...LONG_TIMEOUT], { env });
      t.deepEqual([responding.code, responding.stderr], [0, ""]);
      t.regex(responding.stdout, /^\w+ responds\n$/);
      t.true(endpoint.requests.every(({ status }) => status !== 200));
      const report = JSON.parse(
        (await run(t, ["doctor", "--probe", "--json", ...LONG_TIMEOUT], { env })).stdout,
      );
      t.like(report, { endpoint: { available: true, reason: null }, token: null, error: null, exitCode: 0 });
      await endpoint.close();
      // Node.js warns about the file, which the endpoint has removed.
      const silent = await run(t, ["doctor", "--probe"], { env: { ...env, NODE_EXTRA_CA_CERTS: undefined } });
      t.deepEqual([silent.code, silent.stderr], [1, ""]);
      t.regex(silent.stdout, /^\w+ does not respond: .+\n$/);
    },
  );
}

test("--source: the doctor uses the application's option", async (t) => {
  const appService = await startEndpoint(t);
  const imds = await startEndpoint(t, "imds");
  const env = { ...appService.env, ...imds.env };
  const args = ["doctor", "--json", "--source", "CloudShell,imds", ...LONG_TIMEOUT];
  const report = JSON.parse((await run(t, args, { env })).stdout);
  t.is(report.source, "DefaultToImds");
  t.deepEqual(report.sourceOption, ["CloudShell", "Imds"]);
  t.is(report.token.tokenEndpoint, imds.url);
  t.is(appService.requests.length, 0);
  const { stdout } = await run(t, ["doctor", "--source", "Imds", ...LONG_TIMEOUT], { env });
  t.regex(stdout, /because of --source Imds\n/);
});

test("--source without its variables: exit 1 with the reason", async (t) => {
  const { env } = await startEndpoint(t);
  const { code, stdout } = await run(t, ["doctor", "--json", "--source", "CloudShell"], { env });
  t.is(code, 1);
  t.is(JSON.parse(stdout).error.errorCode, "invalid_configuration");
});

test("--azure-proxy: the doctor uses the application's option", async (t) => {
  const { env } = await startEndpoint(t, "workload-identity");
  const variables = { ...env, AZURE_KUBERNETES_TOKEN_PROXY: "http://127.0.0.1:1" };
  const { code, stdout } = await run(t, ["doctor", "--json", "--azure-proxy"], { env: variables });
  t.is(code, 1);
  t.regex(JSON.parse(stdout).error.errorMessage, /AZURE_KUBERNETES_TOKEN_PROXY/);
});

test("Windows' own directories are listed for Azure Arc only, whose files are below them", (t) => {
  for (const name of ["ProgramFiles", "ProgramData"]) {
    t.true(isUsedBy("AzureArc", name));
    t.false(isUsedBy("AppService", name));
  }
  t.true(isUsedBy("AppService", "IDENTITY_ENDPOINT"));
});
