// Claims challenges and client capabilities with workload identity: they are sent to Microsoft Entra in the form
// parameter `claims`, as by msal-node's confidential client.

import { createRequire } from "node:module";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { claimsOf, getToken, SCOPE, withEndpoint } from "./support/credential.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { claimsChallenge, createClient, startProtectedService } from "./support/protected-service.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

const NBF = { essential: true, value: "1700000000" };
const CLAIMS = JSON.stringify({ access_token: { nbf: NBF } });
const CP1 = { values: ["CP1"] };
const WITH_CP1 = { clientCapabilities: ["CP1"] };

function start(t) {
  return startEndpoint(t, "workload-identity");
}

/** The `claims` parameter of each request. Asserts that the requests have no query. */
function claimsSent(t, endpoint) {
  return endpoint.requests.map(({ query, form }) => {
    t.deepEqual(query, {});
    t.false("xms_cc" in form);
    return form.claims === undefined ? undefined : JSON.parse(form.claims);
  });
}

testWith(test, "extra trust roots")(
  "claims and capabilities are merged in the form parameter; without both it is absent",
  async (t) => {
    const endpoint = await start(t);
    const withCp1 = new ManagedIdentityApplication(WITH_CP1);
    await acquire(endpoint);
    await acquire(endpoint, RESOURCE, withCp1);
    await acquire(endpoint, { resource: RESOURCE, claims: CLAIMS }, withCp1);
    await acquire(endpoint, { resource: RESOURCE, claims: CLAIMS });
    await acquire(endpoint, { resource: RESOURCE, claims: CLAIMS, forceRefresh: true }, withCp1);
    await getToken(endpoint, SCOPE, { enableCae: true, claims: CLAIMS });
    const merged = { access_token: { nbf: NBF, xms_cc: CP1 } };
    t.deepEqual(claimsSent(t, endpoint), [
      undefined,
      { access_token: { xms_cc: CP1 } },
      merged,
      { access_token: { nbf: NBF } },
      merged,
      merged,
    ]);
  },
);

testWith(test, "extra trust roots")("the token contains the requested capabilities", async (t) => {
  const endpoint = await start(t);
  t.deepEqual(claimsOf(await getToken(endpoint, SCOPE, { enableCae: true })).xms_cc, ["CP1"]);
  t.is(claimsOf(await getToken(endpoint, SCOPE)).xms_cc, undefined);
});

/** The claims that msal-node's confidential client sends to `endpoint`. */
async function claimsOfMsalNode(t, endpoint, claims, clientCapabilities) {
  const before = endpoint.requests.length;
  const program = async ({ argument, require, report }) => {
    const { readFileSync } = require("node:fs");
    const { ConfidentialClientApplication } = require("@azure/msal-node");
    const { AZURE_AUTHORITY_HOST, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID } =
      process.env;
    const application = new ConfidentialClientApplication({
      auth: {
        clientId: AZURE_CLIENT_ID,
        authority: `${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}`,
        knownAuthorities: [new URL(AZURE_AUTHORITY_HOST).host],
        clientAssertion: readFileSync(AZURE_FEDERATED_TOKEN_FILE, "utf8"),
        clientCapabilities: argument.clientCapabilities,
      },
    });
    const scopes = ["https://vault.azure.net/.default"];
    const { accessToken } = await application.acquireTokenByClientCredential({
      scopes,
      claims: argument.claims,
    });
    report(accessToken.split(".").length);
  };
  const argument = { claims, clientCapabilities };
  t.deepEqual(await runProcess(t, program, { argument, env: endpoint.env }), [3]);
  const sent = endpoint.requests.slice(before).find(({ form }) => form?.grant_type !== undefined);
  // msal-node also requests claims of an ID token, which this grant does not return; Entra ignores them.
  const { id_token: _, ...rest } = JSON.parse(sent.form.claims);
  return rest;
}

for (const [name, claims, clientCapabilities] of [
  ["claims and capabilities", CLAIMS, ["CP1"]],
  ["claims", CLAIMS, undefined],
  ["capabilities", undefined, ["CP1", "other"]],
  [
    "claims that contain capabilities",
    JSON.stringify({ access_token: { xms_cc: { values: ["x"] } } }),
    ["CP1"],
  ],
]) {
  testWith(test, "extra trust roots")(`the form parameter equals that of msal-node: ${name}`, async (t) => {
    const endpoint = await start(t);
    const expected = await claimsOfMsalNode(t, endpoint, claims, clientCapabilities);
    const application = new ManagedIdentityApplication({ clientCapabilities });
    await acquire(endpoint, { resource: RESOURCE, claims }, application);
    t.deepEqual(JSON.parse(endpoint.requests.at(-1).form.claims), expected);
  });
}

testWith(test, "extra trust roots")(
  "calls share a request only if their merged claims are equal",
  async (t) => {
    const endpoint = await start(t);
    const acquireWithCp1 = (claims) =>
      withEnvironment(endpoint.env, () => new ManagedIdentityApplication(WITH_CP1).acquireToken(claims));
    const release = endpoint.hold();
    const other = JSON.stringify({ access_token: { nbf: { ...NBF, value: "1800000000" } } });
    const spaced = ` ${JSON.stringify({ access_token: { nbf: { value: NBF.value, essential: true } } }, null, 2)}\n`;
    const calls = [CLAIMS, spaced, other, other].map((claims) =>
      acquireWithCp1({ resource: RESOURCE, claims }),
    );
    await endpoint.waitForRequests(2);
    release();
    const tokens = (await Promise.all(calls)).map(({ accessToken }) => accessToken);
    t.true(tokens[0] === tokens[1] && tokens[2] === tokens[3] && tokens[0] !== tokens[2]);
    // The two requests are concurrent, so either can arrive first.
    const sent = claimsSent(t, endpoint).map(({ access_token: { nbf } }) => nbf.value);
    t.deepEqual(sent.sort(), [NBF.value, "1800000000"].sort());
  },
);

test("claims that are not a JSON object are rejected without a request, by workload identity only", async (t) => {
  const endpoint = await start(t);
  for (const claims of ["nonsense", "[]", "null", '"text"', Buffer.from(CLAIMS).toString("base64")]) {
    const error = await expectError(
      t,
      acquire(endpoint, { resource: RESOURCE, claims }),
      "invalid_configuration",
    );
    t.true(error.message.includes("claims"), error.message);
    t.false(error.message.includes(claims), error.message);
    t.is(error.source, "WorkloadIdentity");
    await expectError(t, getToken(endpoint, SCOPE, { claims }), "invalid_configuration");
  }
  t.deepEqual(endpoint.requests, []);
  const other = await startEndpoint(t);
  await acquire(other, { resource: RESOURCE, claims: "nonsense" });
  t.is(other.requests.length, 1);
});

testWith(test.serial, "extra trust roots")(
  "an Azure SDK client answers a claims challenge with a token that has the claims",
  async (t) => {
    const endpoint = await start(t);
    const challenge = claimsChallenge({ access_token: { nbf: NBF } });
    let revoked;
    const service = await startProtectedService(t, (token) => (token === revoked ? challenge : undefined));
    await withEndpoint(endpoint, async () => {
      const application = new ManagedIdentityApplication();
      const send = createClient(service, application, SCOPE);
      t.is(await send(), 200);
      [revoked] = service.tokens;
      t.is(await send(), 200);
      t.is(await send(), 200);
      // Other clients get the new token instead of the rejected one, too.
      t.is(await createClient(service, new ManagedIdentityApplication(), SCOPE)(), 200);
    });
    const [first, , fresh] = service.tokens;
    t.not(fresh, first);
    t.deepEqual(service.tokens, [first, first, fresh, fresh, fresh]);
    t.deepEqual(claimsSent(t, endpoint), [
      { access_token: { xms_cc: CP1 } },
      { access_token: { nbf: NBF, xms_cc: CP1 } },
    ]);
    t.deepEqual(claimsOf({ token: fresh }).xms_cc, ["CP1"]);
  },
);
