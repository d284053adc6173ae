// `token`: stdout for scripts, stderr for people, and the exit code.

import { verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { PROGRAM, run, startCommand } from "./support/command-line.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { sources, tenantId, userAssignedIdentity } = require("managed-identity-native/emulator");

/** Without Azure Arc, whose key files only root can create; cli-emulator-command.spec.mjs tests it in a namespace. */
const SOURCES = sources.filter((source) => source !== "azure-arc");
const NAMES = {
  "app-service": "AppService",
  imds: "DefaultToImds",
  "cloud-shell": "CloudShell",
  "machine-learning": "MachineLearning",
  "service-fabric": "ServiceFabric",
  "workload-identity": "WorkloadIdentity",
};

/** Verifies the signature of a token and returns its claims. */
function verifiedClaims(t, endpoint, token) {
  const [header, claims, signature] = token.split(".");
  const signed = Buffer.from(`${header}.${claims}`);
  t.true(verify("sha256", signed, endpoint.publicKey, Buffer.from(signature, "base64url")));
  return JSON.parse(Buffer.from(claims, "base64url"));
}

for (const source of SOURCES) {
  testWith(test, ...neededBySource(source))(`${source}: prints the token and a line feed only`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const { code, stdout, stderr } = await run(t, ["token", "--resource", RESOURCE], { env: endpoint.env });
    t.deepEqual([code, stderr], [0, ""]);
    t.regex(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    t.is(verifiedClaims(t, endpoint, stdout.trim()).aud, RESOURCE);
  });

  testWith(test, ...neededBySource(source))(
    `${source}, --output json: has the fields of az account get-access-token`,
    async (t) => {
      const endpoint = await startEndpoint(t, source);
      const args = ["token", "--resource", `${RESOURCE}/.default`, "--output", "json"];
      const { code, stdout, stderr } = await run(t, args, { env: endpoint.env });
      t.deepEqual([code, stderr], [0, ""]);
      const { accessToken, expires_on: seconds, expiresOn, refreshOn, ...rest } = JSON.parse(stdout);
      const { exp } = verifiedClaims(t, endpoint, accessToken);
      // Entra states a lifetime in place of an expiry, so the expiry includes the duration of the response.
      t.true(seconds >= exp && (source === "workload-identity" || seconds === exp), `${seconds}, ${exp}`);
      t.is(Math.floor(Date.parse(expiresOn) / 1000), seconds);
      t.regex(expiresOn, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      t.true(refreshOn < expiresOn);
      t.deepEqual(rest, { tenant: tenantId, tokenType: "Bearer", resource: RESOURCE, source: NAMES[source] });
    },
  );
}

for (const scope of [`${RESOURCE}/.default`, "https://database.windows.net//.default"]) {
  test(`--scope ${scope}: is the scope of the token`, async (t) => {
    const endpoint = await startEndpoint(t);
    const { code, stdout, stderr } = await run(t, ["token", "--scope", scope], { env: endpoint.env });
    t.deepEqual([code, stderr], [0, ""]);
    t.is(verifiedClaims(t, endpoint, stdout.trim()).aud, scope.replace(/\/\.default$/, ""));
  });
}

for (const args of [["-o", "token"], ["-otoken"], ["--output=token"], ["--output", "text"]]) {
  test(`${args.join(" ")}: prints the token and a line feed only`, async (t) => {
    const endpoint = await startEndpoint(t);
    const { stdout } = await run(t, ["token", "--resource", RESOURCE, ...args], { env: endpoint.env });
    t.regex(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  });
}

test("-o json: prints the same object as --output json", async (t) => {
  const endpoint = await startEndpoint(t);
  const { stdout } = await run(t, ["token", "--resource", RESOURCE, "-o", "json"], { env: endpoint.env });
  t.is(JSON.parse(stdout).resource, RESOURCE);
});

testWith(test, "sh")("-o env: a shell and Node.js read the token and its expiry", async (t) => {
  const endpoint = await startEndpoint(t);
  const { stdout } = await run(t, ["token", "--resource", RESOURCE, "-o", "env"], { env: endpoint.env });
  t.regex(stdout, /^AZURE_ACCESS_TOKEN=[\w.-]+\nAZURE_ACCESS_TOKEN_EXPIRES_ON=\d{10}\n$/);
  const directory = mkdtempSync(join(tmpdir(), "cli-token-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, ".env"), stdout);
  const show = "console.log(process.env.AZURE_ACCESS_TOKEN, process.env.AZURE_ACCESS_TOKEN_EXPIRES_ON)";
  const node = [process.execPath, `--env-file=${join(directory, ".env")}`, "-e", show];
  const line = 'eval "$0"; echo "$AZURE_ACCESS_TOKEN $AZURE_ACCESS_TOKEN_EXPIRES_ON"';
  const read = await Promise.all(
    [node, ["sh", "-c", line, stdout]].map((command) => startCommand(t, command).ended),
  );
  for (const { stdout: text } of read) {
    const [token, expiry] = text.trim().split(" ");
    t.is(verifiedClaims(t, endpoint, token).exp, Number(expiry));
  }
});

test("--source: is used whatever else the environment says", async (t) => {
  const appService = await startEndpoint(t);
  const imds = await startEndpoint(t, "imds");
  const env = { ...appService.env, ...imds.env };
  const sourceOf = async (...args) => {
    const { stdout } = await run(t, ["token", "--resource", RESOURCE, "-o", "json", ...args], { env });
    return JSON.parse(stdout).source;
  };
  t.is(await sourceOf(), "AppService");
  t.is(await sourceOf("--source", "imds"), "DefaultToImds");
  t.is(await sourceOf("--source", "CloudShell,Imds"), "DefaultToImds");
});

testWith(test, "sh")("command substitution in a shell: is the token", async (t) => {
  const endpoint = await startEndpoint(t);
  const line = 'token=$("$@" token --resource https://vault.azure.net) && printf "<%s>" "$token"';
  const { stdout } = await startCommand(t, ["sh", "-c", line, "sh", ...PROGRAM], { env: endpoint.env }).ended;
  t.regex(stdout, /^<[\w-]+\.[\w-]+\.[\w-]+>$/);
});

for (const [option, field, parameter] of [
  ["--client-id", "clientId", "client_id"],
  ["--object-id", "objectId", "object_id"],
  ["--resource-id", "resourceId", "mi_res_id"],
]) {
  test(`${option}: selects the identity`, async (t) => {
    const endpoint = await startEndpoint(t);
    const args = ["token", "--resource", RESOURCE, option, userAssignedIdentity[field]];
    const { code, stdout } = await run(t, args, { env: endpoint.env });
    t.is(code, 0);
    t.is(endpoint.requests[0].query[parameter], userAssignedIdentity[field]);
    t.is(verifiedClaims(t, endpoint, stdout.trim()).oid, userAssignedIdentity.objectId);
  });
}

test("--claims and --force-refresh: are accepted", async (t) => {
  const endpoint = await startEndpoint(t);
  const args = ["token", "--resource", RESOURCE, "--claims", '{"access_token":{}}', "--force-refresh"];
  t.is((await run(t, args, { env: endpoint.env })).code, 0);
  t.is(endpoint.requests.length, 1);
});

test("--timeout: ends the request", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const args = ["token", "--resource", RESOURCE, "--timeout", "400"];
  const { code, stdout, stderr } = await run(t, args, { env: endpoint.env });
  t.deepEqual([code, stdout], [1, ""]);
  t.regex(stderr, /^managed-identity-native: network_unavailable: .* within 400 ms/);
});

test("an opaque, short-lived token as JSON: tenant and refreshOn are null", async (t) => {
  const tokens = () => ({ accessToken: "opaque", expiresOn: Math.floor(Date.now() / 1000) + 3600 });
  const endpoint = await startEndpoint(t, "app-service", { tokens });
  const args = ["token", "--resource", RESOURCE, "--output", "json"];
  const { stdout } = await run(t, args, { env: endpoint.env });
  const { accessToken, tenant, refreshOn } = JSON.parse(stdout);
  t.deepEqual([accessToken, tenant, refreshOn], ["opaque", null, null]);
});

for (const [condition, resource, prepare, message] of [
  ["an invalid resource", "vault.azure.net", () => {}, /^managed-identity-native: invalid_resource: /],
  [
    "a missing identity",
    RESOURCE,
    () => {},
    /^managed-identity-native: managed_identity_failed_response: .*Unable to load the proper Managed Identity/,
  ],
  [
    "a response with control characters",
    RESOURCE,
    (endpoint) => endpoint.always({ status: 400, body: { error: "e", error_description: "\u001b[2Jgone" } }),
    /^managed-identity-native: e: /,
  ],
]) {
  test(`${condition}: exit 1 with the code on stderr and an empty stdout`, async (t) => {
    const endpoint = await startEndpoint(t, "app-service", { systemAssigned: false });
    prepare(endpoint);
    const { code, stdout, stderr } = await run(t, ["token", "--resource", resource], { env: endpoint.env });
    t.deepEqual([code, stdout], [1, ""]);
    t.regex(stderr, message);
    t.regex(stderr, /^[^\p{Cc}]*\n$/u);
  });
}

test("an endpoint that echoes the secret and the token: the error contains neither", async (t) => {
  const endpoint = await startEndpoint(t);
  let token;
  endpoint.always({
    body: (body, { headers }) => {
      token = body.access_token;
      const echo = `${headers["x-identity-header"]} ${token}`;
      return { error: "invalid_request", error_description: echo, access_token: token };
    },
    status: 400,
  });
  const { code, stdout, stderr } = await run(t, ["token", "--resource", RESOURCE], { env: endpoint.env });
  t.deepEqual([code, stdout], [1, ""]);
  t.regex(stderr, /invalid_request/);
  for (const secret of [endpoint.env.IDENTITY_HEADER, token, token.split(".")[2]]) {
    t.false(stderr.includes(secret));
  }
});
