// `token`: what a script gets on stdout, what a person reads on stderr, and the exit code.

import { verify } from "node:crypto";
import { createRequire } from "node:module";
import test from "ava";
import { PROGRAM, run, startCommand } from "./support/command-line.mjs";
import { RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { sources, tenantId, userAssignedIdentity } = require("managed-identity-native/emulator");

/** Azure Arc's key files belong to root: it is played where that makes no difference, in cli-emulator.spec.mjs. */
const PLAYED = sources.filter((source) => source !== "azure-arc");
const NAMES = {
  "app-service": "AppService",
  imds: "DefaultToImds",
  "cloud-shell": "CloudShell",
  "machine-learning": "MachineLearning",
  "service-fabric": "ServiceFabric",
  "workload-identity": "WorkloadIdentity",
};

/** The claims of a token, once its signature has been verified. */
function claimsOf(t, endpoint, token) {
  const [header, claims, signature] = token.split(".");
  const signed = Buffer.from(`${header}.${claims}`);
  t.true(verify("sha256", signed, endpoint.publicKey, Buffer.from(signature, "base64url")));
  return JSON.parse(Buffer.from(claims, "base64url"));
}

for (const source of PLAYED) {
  test(`${source}: the token and a line feed, and nothing else`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const { code, stdout, stderr } = await run(t, ["token", "--resource", RESOURCE], { env: endpoint.env });
    t.deepEqual([code, stderr], [0, ""]);
    t.regex(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    t.is(claimsOf(t, endpoint, stdout.trim()).aud, RESOURCE);
  });

  test(`${source}: as JSON, with the fields that az account get-access-token prints`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const args = ["token", "--resource", `${RESOURCE}/.default`, "--output", "json"];
    const { code, stdout, stderr } = await run(t, args, { env: endpoint.env });
    t.deepEqual([code, stderr], [0, ""]);
    const { accessToken, expires_on: seconds, expiresOn, refreshOn, ...rest } = JSON.parse(stdout);
    const { exp } = claimsOf(t, endpoint, accessToken);
    // Entra itself tells a lifetime, so that its instant moves with the way of the answer.
    t.true(seconds >= exp && (source === "workload-identity" || seconds === exp), `${seconds}, ${exp}`);
    t.is(Math.floor(Date.parse(expiresOn) / 1000), seconds);
    t.regex(expiresOn, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    t.true(refreshOn < expiresOn);
    t.deepEqual(rest, { tenant: tenantId, tokenType: "Bearer", resource: RESOURCE, source: NAMES[source] });
  });
}

test("a shell's substitution gives the token", async (t) => {
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
  test(`${option} names the identity`, async (t) => {
    const endpoint = await startEndpoint(t);
    const args = ["token", "--resource", RESOURCE, option, userAssignedIdentity[field]];
    const { code, stdout } = await run(t, args, { env: endpoint.env });
    t.is(code, 0);
    t.is(endpoint.requests[0].query[parameter], userAssignedIdentity[field]);
    t.is(claimsOf(t, endpoint, stdout.trim()).oid, userAssignedIdentity.objectId);
  });
}

test("a claims challenge and a forced refresh are accepted", async (t) => {
  const endpoint = await startEndpoint(t);
  const args = ["token", "--resource", RESOURCE, "--claims", '{"access_token":{}}', "--force-refresh"];
  t.is((await run(t, args, { env: endpoint.env })).code, 0);
  t.is(endpoint.requests.length, 1);
});

test("--timeout ends the wait", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const args = ["token", "--resource", RESOURCE, "--timeout", "400"];
  const { code, stdout, stderr } = await run(t, args, { env: endpoint.env });
  t.deepEqual([code, stdout], [1, ""]);
  t.regex(stderr, /^managed-identity-native: network_unavailable: .* within 400 ms/);
});

test("a token without a tenant and without a refresh: null", async (t) => {
  const tokens = () => ({ accessToken: "opaque", expiresOn: Math.floor(Date.now() / 1000) + 3600 });
  const endpoint = await startEndpoint(t, "app-service", { tokens });
  const args = ["token", "--resource", RESOURCE, "--output", "json"];
  const { stdout } = await run(t, args, { env: endpoint.env });
  const { accessToken, tenant, refreshOn } = JSON.parse(stdout);
  t.deepEqual([accessToken, tenant, refreshOn], ["opaque", null, null]);
});

for (const [what, resource, prepare, said] of [
  ["no resource", "vault.azure.net", () => {}, /^managed-identity-native: invalid_resource: /],
  [
    "an identity that is not there",
    RESOURCE,
    () => {},
    /^managed-identity-native: managed_identity_failed_response: .*Unable to load the proper Managed Identity/,
  ],
  [
    "an answer that would steer a terminal",
    RESOURCE,
    (endpoint) => endpoint.always({ status: 400, body: { error: "e", error_description: "\u001b[2Jgone" } }),
    /^managed-identity-native: e: /,
  ],
]) {
  test(`${what}: exit 1, the code on stderr, and nothing on stdout`, async (t) => {
    const endpoint = await startEndpoint(t, "app-service", { systemAssigned: false });
    prepare(endpoint);
    const { code, stdout, stderr } = await run(t, ["token", "--resource", resource], { env: endpoint.env });
    t.deepEqual([code, stdout], [1, ""]);
    t.regex(stderr, said);
    t.regex(stderr, /^[^\p{Cc}]*\n$/u);
  });
}

test("an endpoint that sends the secret or the token back gets it into no error", async (t) => {
  const endpoint = await startEndpoint(t);
  let token;
  endpoint.always({
    body: (answer, { headers }) => {
      token = answer.access_token;
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
