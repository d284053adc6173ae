// An application in a chain of @azure/identity's, before another credential: which of them is asked. What exactly
// means that there is no managed identity is in credential-unavailable.spec.mjs.

import { createRequire } from "node:module";
import { ChainedTokenCredential } from "@azure/identity";
import test from "ava";
import { SCOPE } from "./support/credential.mjs";
import { ONCE, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { within } from "./support/environment.mjs";
import { refusal, rejection } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { CredentialUnavailableError, ManagedIdentityApplication } = require("managed-identity-native");
const { imdsClient, probes } = require("./support/imds-client.cjs");

const NOWHERE = { IDENTITY_ENDPOINT: "http://127.0.0.1:1/msi/token", IDENTITY_HEADER: "x" };
const HOUR_MS = 3_600_000;

/** A credential that always has the same token, and counts how often it is asked. */
function staticCredential() {
  const credential = {
    calls: 0,
    getToken: async () => {
      credential.calls += 1;
      return { token: "the-second", expiresOnTimestamp: Date.now() + HOUR_MS };
    },
  };
  return credential;
}

function chained(env, configuration, ...others) {
  const chain = new ChainedTokenCredential(new ManagedIdentityApplication(configuration), ...others);
  return within(env, () => chain.getToken([SCOPE]));
}

test("the managed identity comes first", async (t) => {
  const endpoint = await startEndpoint(t);
  const second = staticCredential();
  const { token, expiresOnTimestamp } = await chained(endpoint.env, ONCE, second);
  t.true(token.split(".").length === 3 && expiresOnTimestamp > Date.now());
  t.is(endpoint.requests[0].query.resource, RESOURCE);
  t.is(second.calls, 0);
});

test("a configured endpoint that cannot be reached: the next one is asked", async (t) => {
  const second = staticCredential();
  t.is((await chained(NOWHERE, ONCE, second)).token, "the-second");
  t.is(second.calls, 1);
});

test("an identity that the endpoint does not know: the next one is asked", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const second = staticCredential();
  const userAssignedClientId = "00000000-0000-4000-8000-000000000000";
  const configuration = { ...ONCE, managedIdentityIdParams: { userAssignedClientId } };
  t.is((await chained(endpoint.env, configuration, second)).token, "the-second");
  t.deepEqual([endpoint.requests.length, second.calls], [1, 1]);
});

for (const found of ["silent", "refused", "container"]) {
  test(`nothing configured, and IMDS ${found}: the next one is asked, with the defaults of an application`, async (t) => {
    const second = staticCredential();
    const networkClient = imdsClient(probes[found]);
    const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
    t.is((await chained(env, { system: { networkClient } }, second)).token, "the-second");
    t.is(second.calls, 1);
    t.deepEqual(
      networkClient.requests.map(({ query }) => query),
      [[]],
      "a probe, and no token request",
    );
  });
}

test("any other failure is the chain's: the next one is not asked", async (t) => {
  for (const [fault, code] of [
    [{ status: 500, body: "" }, "managed_identity_failed_response"],
    [{ status: 429, body: "" }, "managed_identity_failed_response"],
    [{ status: 400, body: { error: "invalid_scope" } }, "invalid_scope"],
  ]) {
    const endpoint = await startEndpoint(t);
    endpoint.always(fault);
    const second = staticCredential();
    const error = await refusal(t, chained(endpoint.env, ONCE, second), code);
    t.false(error instanceof CredentialUnavailableError);
    t.is(second.calls, 0);
  }
});

test("at the chain's end, its error holds ours with its words", async (t) => {
  const error = await rejection(t, chained(NOWHERE, ONCE));
  t.is(error.name, "AggregateAuthenticationError");
  t.true(error.errors[0] instanceof CredentialUnavailableError);
  t.true(error.message.includes("refused the connection"), error.message);
});

test("a call that is aborted ends the chain: the next one is not asked", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const second = staticCredential();
  const chain = new ChainedTokenCredential(new ManagedIdentityApplication(), second);
  const controller = new AbortController();
  const call = within(endpoint.env, () => chain.getToken(SCOPE, { abortSignal: controller.signal }));
  await endpoint.waitForRequests(1);
  controller.abort();
  t.is((await rejection(t, call)).name, "AbortError");
  t.is(second.calls, 0);
});
