// `doctor`: what it finds out for every source, what it says of each failure, that it gives nothing away, and how it
// looks.

import { createRequire } from "node:module";
import test from "ava";
import { inTerminal, PROGRAM, run, startCommand } from "./support/command-line.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityErrorCodes, version } = require("managed-identity-native");
const { adviceOn, adviceOnAbsence } = require("../cli/advice.js");
const { render } = require("../cli/report.js");
const {
  systemAssignedIdentity: system,
  tenantId,
  userAssignedIdentity: first,
} = require("managed-identity-native/emulator");

const DEFAULT_RESOURCE = "https://management.azure.com";
const DAY_SECONDS = 86_400;
const ESCAPE = "\u001b";

/** The machine that runs the tests may be busy. */
const PATIENT = ["--timeout", "60000"];

/** Runs `doctor --json` and reads its object. */
async function examine(t, env, args = []) {
  const { code, stdout, stderr } = await run(t, ["doctor", "--json", ...PATIENT, ...args], { env });
  t.is(stderr, "");
  const report = JSON.parse(stdout);
  t.is(report.exitCode, code);
  return report;
}

/** The same as a text for people. */
async function read(t, env, args = []) {
  const { code, stdout, stderr } = await run(t, ["doctor", ...PATIENT, ...args], { env });
  t.is(stderr, "");
  return { code, text: stdout };
}

/** Each source: what it is called, which variables decide, how each is shown, and whose token comes. */
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
    asked: { kind: "client-id", id: first.clientId },
  }),
};

/** What every test's environment has, lest something asks the real address. */
const NOWHERE = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

for (const [source, expect] of Object.entries(SOURCES)) {
  test(`${source}: all of it as JSON`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const report = await examine(t, endpoint.env);
    const expected = expect(endpoint);
    const { token, variables, ...rest } = report;
    t.deepEqual(
      variables.filter(({ name }) => name !== NOWHERE || source === "imds"),
      expected.variables,
    );
    t.deepEqual(rest, {
      format: 1,
      version,
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      source: expected.source,
      identity: expected.asked ?? { kind: "system-assigned", id: null },
      resource: DEFAULT_RESOURCE,
      endpoint: { available: true, reason: null },
      error: null,
      advice: [],
      exitCode: 0,
    });
    const { claims, durationInMs, expiresOn, refreshOn, secondsLeft, ...asked } = token;
    t.deepEqual(asked, { tokenEndpoint: endpoint.url, attempts: 1 });
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

  test(`${source}: as a text, without a secret and without the token`, async (t) => {
    const tokens = [];
    const endpoint = await startEndpoint(t, source);
    endpoint.always({
      body: (answer) => {
        if (answer.access_token) tokens.push(answer.access_token);
        return answer;
      },
    });
    const { source: name, variables, identity } = expect(endpoint);
    const { code, text } = await read(t, endpoint.env);
    t.is(code, 0);
    t.regex(text, new RegExp(`^Source {6}${name}$`, "m"));
    const deciding = variables.filter(({ decides }) => decides).map((variable) => variable.name);
    const because =
      deciding.length > 0 ? `because of ${deciding.join(", ")}` : "because nothing leads to another";
    t.true(text.includes(because), text);
    for (const variable of variables)
      t.regex(text, new RegExp(`\\b${variable.name} +${literally(variable.value)}$`, "m"));
    t.regex(text, /^Endpoint {4}answers$/m);
    t.regex(
      text,
      /^Token {7}came for https:\/\/management\.azure\.com\n {12}from https?:\S+, after 1 request in \d+ ms\n {12}(1 d|23 h 5\d min) left, until 2\S+Z\n/m,
    );
    t.regex(text, new RegExp(`^ {12}oid +${identity.objectId}$`, "m"));
    t.false(text.includes("What to do"));
    t.false(text.includes(ESCAPE));
    t.is(tokens.length, 1);
    const json = (await run(t, ["doctor", "--json", ...PATIENT], { env: endpoint.env })).stdout;
    const { IDENTITY_HEADER, MSI_SECRET } = endpoint.env;
    const parts = tokens.flatMap((token) => [token, ...token.split(".")]);
    for (const secret of [...parts, IDENTITY_HEADER, MSI_SECRET].filter(Boolean)) {
      t.false(text.includes(secret) || json.includes(secret));
    }
  });
}

function literally(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

for (const [option, field, parameter] of [
  ["client-id", "clientId", "client_id"],
  ["object-id", "objectId", "object_id"],
  ["resource-id", "resourceId", "msi_res_id"],
]) {
  test(`--${option} and --resource are what is asked for`, async (t) => {
    const endpoint = await startEndpoint(t, "imds");
    const args = [`--${option}`, first[field], "--resource", RESOURCE];
    const report = await examine(t, endpoint.env, args);
    t.deepEqual(report.identity, { kind: option, id: first[field] });
    t.is(report.resource, RESOURCE);
    t.is(report.token.claims.oid, first.objectId);
    const asked = endpoint.requests.at(-1).query;
    t.deepEqual([asked.resource, asked[parameter]], [RESOURCE, first[field]]);
    const { text } = await read(t, endpoint.env, args);
    t.true(text.includes(`Identity    user-assigned, ${option} ${first[field]}\n`));
  });
}

test("an identity that is not there: exit 1, the host's words, and how to get one", async (t) => {
  const endpoint = await startEndpoint(t, "imds", { systemAssigned: false, identities: [] });
  const report = await examine(t, endpoint.env);
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
  const { code, text } = await read(t, endpoint.env);
  t.is(code, 1);
  t.regex(
    text,
    /^Token {7}none for https:\/\/management\.azure\.com\n {12}invalid_request: .*Identity not found/m,
  );
  t.regex(text, /^ {12}correlation id [0-9a-f-]{36}$/m);
  t.regex(text, /^What to do {2}Give the machine an identity/m);
});

for (const [what, source, { options, args = [], env = {}, fault }, code, advice] of [
  ["an unknown resource", "imds", { options: { resources: [] } }, "invalid_resource", /--resource/],
  ["no resource at all", "imds", { args: ["--resource", "vault"] }, "invalid_resource", /--resource/],
  [
    "an unknown client",
    "imds",
    { args: ["--client-id", tenantId] },
    "invalid_request",
    /given with --client-id is the client id.*az vm identity assign/,
  ],
  [
    "an unknown object id",
    "app-service",
    { args: ["--object-id", tenantId] },
    undefined,
    /given with --object-id is the object id.*az webapp identity assign --identities/,
  ],
  [
    "a host's name for a resource",
    "app-service",
    { args: ["--resource", "vault.azure.net"] },
    "invalid_resource",
    /^Run again with --resource https:\/\/vault\.azure\.net\.$/,
  ],
  [
    "a token file that is not there",
    "workload-identity",
    { env: { AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token" } },
    "unable_to_read_secret_file",
    /AZURE_FEDERATED_TOKEN_FILE names no token/,
  ],
  ["an old secret", "app-service", { env: { IDENTITY_HEADER: "old" } }, undefined, /Restart the app/],
  [
    "an unknown audience",
    "cloud-shell",
    { options: { resources: [] } },
    "AudienceNotSupported",
    /--resource an audience/,
  ],
  [
    "an id where there are none",
    "cloud-shell",
    { args: ["--client-id", "a"] },
    "unable_to_create_cloud_shell",
    /out here/,
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
  ],
  [
    "a URL that is none",
    "app-service",
    { env: { IDENTITY_ENDPOINT: "here" } },
    "identity_endpoint_url_malformed",
    /takes? it away/,
  ],
  [
    "throttling",
    "app-service",
    { args: ["--timeout", "20000"], fault: { status: 429, headers: { "Retry-After": "60" } } },
    undefined,
    /Too many requests/,
  ],
  [
    "a host in trouble",
    "app-service",
    { args: ["--timeout", "20000"], fault: { status: 503, headers: { "Retry-After": "60" } } },
    undefined,
    /trouble/,
  ],
]) {
  test(`${what}: exit 1, and what to do`, async (t) => {
    const endpoint = await startEndpoint(t, source, options);
    if (fault) endpoint.always(fault);
    const report = await examine(t, { ...endpoint.env, ...env }, args);
    t.is(report.exitCode, 1);
    t.is(report.error.errorCode, code ?? "managed_identity_failed_response");
    t.regex(report.advice[0], advice);
    t.is(report.advice.length, report.error.retryable ? 2 : 1);
  });
}

for (const [source, prepare, advice] of [
  ["app-service", (endpoint) => endpoint.close(), /IDENTITY_ENDPOINT/],
  ["cloud-shell", (endpoint) => endpoint.close(), /shell anew/],
  ["machine-learning", (endpoint) => endpoint.close(), /compute/],
  ["service-fabric", (endpoint) => endpoint.close(), /manifest/],
  ["workload-identity", (endpoint) => endpoint.always({ reset: true }), /egress/],
  ["imds", (endpoint) => endpoint.close(), /^AZURE_POD_IDENTITY_AUTHORITY_HOST is set.*unset it/],
  ["imds", (endpoint) => endpoint.hold(), /^AZURE_POD_IDENTITY_AUTHORITY_HOST is set.*unset it/],
]) {
  test(`${source}, where nobody answers (${prepare}): exit 3, and where to look`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    await prepare(endpoint);
    const report = await examine(t, endpoint.env, ["--timeout", "700"]);
    t.is(report.exitCode, 3);
    t.false(report.endpoint.available);
    t.truthy(report.endpoint.reason);
    t.is(report.token, null);
    t.regex(report.error.errorCode, /^(managed_identity_unreachable_network|network_unavailable)$/);
    t.regex(report.advice[0], advice);
    t.is(/emulator/.test(report.advice.join(" ")), source === "imds");
  });
}

for (const [what, source, env] of [
  ["a token file that is not there", "workload-identity", { AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token" }],
  ["another certificate", "service-fabric", { IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) }],
]) {
  test(`${what} does not mean that the endpoint is not there`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const { code, text } = await read(t, { ...endpoint.env, ...env });
    t.is(code, 1);
    t.regex(text, /^Endpoint {4}could not be asked$/m);
    t.false(text.includes("usermod"));
    t.false(text.includes("OtherError"));
  });
}

test("IMDS at its own address may be behind a firewall", (t) => {
  const [own] = adviceOnAbsence("DefaultToImds", [], {});
  t.regex(own, /169\.254\.169\.254:80 must be open.*firewall/);
});

for (const [what, env, advice] of [
  ["AZURE_CLIENT_ID", { AZURE_CLIENT_ID: first.clientId }, `--client-id ${first.clientId}.`],
  ["a client id that looks like none", { AZURE_CLIENT_ID: "s3cret" }, '--client-id "$AZURE_CLIENT_ID".'],
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
    "no JSON",
    { MANAGED_IDENTITY: "s3cret" },
    "would fail here with invalid_configuration: MANAGED_IDENTITY ",
  ],
]) {
  test(`${what}: fromEnvironment() would use another identity, unless an option names one`, async (t) => {
    const endpoint = await startEndpoint(t);
    const given = { ...endpoint.env, ...env };
    const report = await examine(t, given);
    t.is(report.exitCode, 0);
    t.deepEqual(report.identity, { kind: "system-assigned", id: null });
    t.true(report.advice[0].includes(advice), report.advice[0]);
    t.false(JSON.stringify(report).includes("s3cret"));
    const shown = report.variables.find(({ name }) => name === "MANAGED_IDENTITY")?.value;
    t.is(
      shown,
      env.MANAGED_IDENTITY && `set, ${env.MANAGED_IDENTITY.length} characters; for fromEnvironment()`,
    );
    t.deepEqual((await examine(t, given, ["--client-id", first.clientId])).advice, []);
  });
}

test("fromEnvironment() would use the same identity: nothing to do", async (t) => {
  const endpoint = await startEndpoint(t);
  const MANAGED_IDENTITY = '{"ManagedIdentityIdType":"SystemAssigned"}';
  t.deepEqual((await examine(t, { ...endpoint.env, MANAGED_IDENTITY })).advice, []);
});

test("nobody here, as a text", async (t) => {
  const { code, text } = await read(t, {});
  t.is(code, 3);
  t.regex(text, /^Source {6}DefaultToImds\n {12}because nothing leads to another source\n/m);
  t.regex(text, /^Endpoint {4}is not there\n {12}\S/m);
  t.regex(
    text,
    /^Token {7}none for https:\/\/management\.azure\.com\n {12}managed_identity_unreachable_network/m,
  );
  t.regex(text, /npx managed-identity-native emulator/);
});

test("a source that lacks one variable is named with it", async (t) => {
  const advice = async (env) => (await examine(t, env)).advice;
  t.deepEqual((await advice({ IDENTITY_ENDPOINT: "http://127.0.0.1:1/" })).slice(0, 2), [
    "IDENTITY_ENDPOINT is set, but only with IDENTITY_HEADER would that mean AppService.",
    "IDENTITY_ENDPOINT is set, but only with IMDS_ENDPOINT would that mean AzureArc.",
  ]);
  t.deepEqual(
    (await advice({ AZURE_TENANT_ID: tenantId, AZURE_CLIENT_ID: tenantId }))[0],
    "AZURE_TENANT_ID is set, but only with AZURE_FEDERATED_TOKEN_FILE would that mean WorkloadIdentity.",
  );
  t.false((await advice({})).some((sentence) => /but only with/.test(sentence)));
});

test("no value gets out that is not what its variable is for", async (t) => {
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
  const report = await examine(t, env);
  const shown = Object.fromEntries(report.variables.map(({ name, value }) => [name, value]));
  const measured = `set, ${secret.length} characters`;
  t.like(shown, {
    IDENTITY_ENDPOINT: "http://127.0.0.1:1/path (and user info, query, fragment)",
    MSI_ENDPOINT: `${measured}, no http or https URL`,
    MSI_SECRET: "set, but empty: counts as not set",
    AZURE_CLIENT_ID: `${measured}, not in the form of an id`,
    AZURE_TENANT_ID: "set, 62 characters, not in the form of an id",
    DEFAULT_IDENTITY_CLIENT_ID: `${measured}, not in the form of an id`,
    AZURE_FEDERATED_TOKEN_FILE: `${measured}, no absolute path`,
    AZURE_AUTHORITY_HOST: "set, 35 characters, no http or https URL",
    HTTPS_PROXY: "http://127.0.0.1:1/ (and user info)",
    https_proxy: "set, 47 characters, no http or https URL",
    NO_PROXY: measured,
    IMDS_ENDPOINT: "set, 349 characters",
    IDENTITY_SERVER_THUMBPRINT: `${measured}, not in the form of an id`,
  });
  t.false(JSON.stringify(report).includes(secret));
  t.false((await read(t, env)).text.includes(secret));
});

test("a secret that has got into an address is taken out of it", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const { env } = endpoint;
  const twice = { ...env, IDENTITY_ENDPOINT: `${env.IDENTITY_ENDPOINT}/${env.IDENTITY_HEADER}` };
  const report = await examine(t, twice);
  t.is(report.variables[0].value, `${env.IDENTITY_ENDPOINT}/<redacted>`);
  t.false(JSON.stringify(report).includes(env.IDENTITY_HEADER));
  t.false((await read(t, twice)).text.includes(env.IDENTITY_HEADER));
});

for (const source of ["app-service", "machine-learning", "service-fabric", "workload-identity", "imds"]) {
  for (const status of [400, 200]) {
    test(`${source} sends secret and token back with ${status}: they are not repeated`, async (t) => {
      const endpoint = await startEndpoint(t, source);
      const { IDENTITY_HEADER, MSI_SECRET } = endpoint.env;
      const seen = new Set([IDENTITY_HEADER, MSI_SECRET].filter(Boolean));
      const tokens = new Set();
      endpoint.always({
        status,
        body: (answer, { headers, form }) => {
          if (answer.access_token) tokens.add(answer.access_token);
          if (form?.client_assertion) seen.add(form.client_assertion);
          const secret = form?.client_assertion ?? headers["x-identity-header"] ?? headers.secret;
          const said = [secret, answer.access_token];
          // What is quoted ends somewhere, so each of them comes first once.
          const words = (status === 200 ? said : said.reverse()).join(" ");
          return { error: "denied", error_description: words, access_token: answer.access_token };
        },
      });
      const json = JSON.stringify(await examine(t, endpoint.env));
      const { code, text } = await read(t, endpoint.env);
      t.not(code, 0);
      t.is(tokens.size, 2, "it was asked for two tokens");
      t.is(seen.size, source === "imds" ? 0 : 1);
      const parts = [...tokens, ...seen].flatMap((secret) => [
        secret.slice(0, 200),
        secret.split(".")[1] ?? secret,
      ]);
      for (const output of [json, text]) {
        t.true(output.includes("denied"));
        for (const part of parts) t.false(output.includes(part));
      }
    });
  }
}

test("what is left of a token, in words", async (t) => {
  const { env } = await startEndpoint(t);
  const report = await examine(t, env);
  const words = (secondsLeft) => {
    const text = render({ ...report, token: { ...report.token, secondsLeft } }, {});
    return /^ {12}(.*) left, until/m.exec(text)[1];
  };
  t.deepEqual([0, 59, 60, 3_599, 3_600, 86_399, 86_400, 90_061, 172_800].map(words), [
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

/** A token with these claims. */
function tokenWith(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** An endpoint that hands out this token. */
function handingOut(t, accessToken, lifetime = 3600) {
  const tokens = () => ({ accessToken, expiresOn: Math.floor(Date.now() / 1000) + lifetime });
  return startEndpoint(t, "app-service", { tokens });
}

test("claims that are not on the list stay hidden, and those that are cannot steer a terminal", async (t) => {
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
  const { env } = await handingOut(t, tokenWith(claims));
  const report = await examine(t, env);
  t.deepEqual(report.token.claims, {
    aud: "a [2Jb c",
    oid: "x".repeat(500),
    roles: ["Reader", "Writer "],
    iat: 1e300,
    exp: 32_503_680_000,
  });
  const { code, text } = await read(t, env);
  t.is(code, 0);
  t.regex(text, /^ {12}roles {2}Reader, Writer $/m);
  t.regex(text, /^ {12}exp {4}32503680000 \(3000-01-01T00:00:00\.000Z\)$/m);
  t.regex(text, /^ {12}iat {4}1e\+300$/m);
  for (const unwanted of ["idden", ESCAPE, "\r"]) t.false(text.includes(unwanted));
});

for (const token of ["opaque", "a.b.c", "eyJ.bnVsbA.x", ".."]) {
  test(`a token that cannot be read (${token}) is good all the same`, async (t) => {
    const { env } = await handingOut(t, token, 90);
    const report = await examine(t, env);
    t.is(report.token.claims, null);
    t.is(report.token.refreshOn, null);
    const { code, text } = await read(t, env);
    t.is(code, 0);
    t.regex(text, /^Claims {6}the token is no JWT/m);
    t.false(text.includes(token === "opaque" ? "opaque" : `${token}\n`));
  });
}

test("a token of the future means a slow clock", async (t) => {
  const now = Math.floor(Date.now() / 1000);
  const early = await handingOut(t, tokenWith({ nbf: now + 3000 }));
  t.regex((await examine(t, early.env)).advice[0], /clock.*slow/);
  const inTime = await handingOut(t, tokenWith({ nbf: now - 300 }));
  t.deepEqual((await examine(t, inTime.env)).advice, []);
});

test("there is advice for every code that this package can raise", (t) => {
  const codes = Object.values(ManagedIdentityErrorCodes).flatMap((code) =>
    typeof code === "string" ? code : Object.values(code),
  );
  // What the constructor or getToken raises is no matter of a doctor; the rest are msal-node's alone, or a service's.
  const others = [
    "missing_client_id",
    "exactly_one_scope_expected",
    "unable_to_create_azure_arc",
    "unable_to_create_source",
    "url_parse_error",
    "managed_identity_failed_response",
    "managed_identity_unreachable_network",
  ];
  const unknown = adviceOn({ errorCode: "x", errorMessage: "x", source: "x", retryable: false })[0];
  for (const errorCode of codes.filter((code) => !others.includes(code))) {
    const [advice] = adviceOn({ errorCode, errorMessage: "x", source: "x", retryable: false });
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
      t.not(adviceOn({ errorCode, errorMessage: "x", source, retryable: false })[0], unknown, source);
    }
  }
});

for (const [what, terminal, env, coloured] of [
  ["a pipe", false, {}, false],
  ["a terminal", true, {}, true],
  ["a terminal with NO_COLOR", true, { NO_COLOR: "1" }, false],
  ["a terminal with an empty NO_COLOR", true, { NO_COLOR: "" }, true],
  ["a dumb terminal", true, { TERM: "dumb" }, false],
  ["a pipe with FORCE_COLOR", false, { FORCE_COLOR: "1" }, true],
  ["a pipe with FORCE_COLOR and NO_COLOR", false, { FORCE_COLOR: "1", NO_COLOR: "1" }, true],
  ["a terminal with FORCE_COLOR=0", true, { FORCE_COLOR: "0" }, false],
]) {
  test(`${what} is ${coloured ? "" : "not "}coloured`, async (t) => {
    const endpoint = await startEndpoint(t);
    const command = [...PROGRAM, "doctor", ...PATIENT];
    const options = { env: { ...endpoint.env, ...env } };
    const { code, stdout, stderr } = await startCommand(t, terminal ? inTerminal(command) : command, options)
      .ended;
    t.deepEqual([code, stderr], [0, ""]);
    t.is(stdout.includes(`${ESCAPE}[`), coloured, stdout);
    t.is(stdout.includes(`${ESCAPE}[32manswers${ESCAPE}[39m`), coloured);
  });
}

test("JSON is never coloured", async (t) => {
  const { env } = await startEndpoint(t);
  const { stdout } = await run(t, ["doctor", "--json"], { env: { ...env, FORCE_COLOR: "1" } });
  t.notThrows(() => JSON.parse(stdout));
});

test("in a terminal long lines are broken where it ends, in a pipe they are not", async (t) => {
  const line = `stty cols 60; "$@"`;
  const command = inTerminal(["sh", "-c", line, "sh", ...PROGRAM, "doctor"]);
  const { code, stdout } = await startCommand(t, command, { env: { NO_COLOR: "1" } }).ended;
  t.is(code, 3);
  const advice = stdout.replaceAll("\r", "").split("What to do")[1].trim().split("\n");
  t.true(advice.length > 5);
  for (const part of advice) t.true(part.length <= 60, part);
  const { text } = await read(t, {});
  t.is(text.split("What to do")[1].trim().split("\n").length, 2);
});
