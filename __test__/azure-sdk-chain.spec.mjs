// An application before another credential in a ChainedTokenCredential of @azure/identity: when the chain continues.
// credential-unavailable.spec.mjs covers every error that makes it continue.

import { createRequire } from "node:module";
import { ChainedTokenCredential } from "@azure/identity";
import test from "ava";
import { SCOPE } from "./support/credential.mjs";
import { NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError, expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { CredentialUnavailableError, ManagedIdentityApplication } = require("managed-identity-native");
const { imdsClient, probes } = require("./support/imds-client.cjs");

const UNREACHABLE = { IDENTITY_ENDPOINT: "http://127.0.0.1:1/msi/token", IDENTITY_HEADER: "x" };
const HOUR_MS = 3_600_000;

/** A credential that always returns the same token and counts its calls. */
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

function getTokenFromChain(env, configuration, ...others) {
  const chain = new ChainedTokenCredential(new ManagedIdentityApplication(configuration), ...others);
  return withEnvironment(env, () => chain.getToken([SCOPE]));
}

test("the token of the managed identity is returned without calling the next credential", async (t) => {
  const endpoint = await startEndpoint(t);
  const second = staticCredential();
  const { token, expiresOnTimestamp } = await getTokenFromChain(endpoint.env, NO_RETRIES, second);
  t.true(token.split(".").length === 3 && expiresOnTimestamp > Date.now());
  t.is(endpoint.requests[0].query.resource, RESOURCE);
  t.is(second.calls, 0);
});

test("the chain continues if the configured endpoint is unreachable", async (t) => {
  const second = staticCredential();
  t.is((await getTokenFromChain(UNREACHABLE, NO_RETRIES, second)).token, "the-second");
  t.is(second.calls, 1);
});

test("the chain continues if the endpoint does not know the identity", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const second = staticCredential();
  const userAssignedClientId = "00000000-0000-4000-8000-000000000000";
  const configuration = { ...NO_RETRIES, managedIdentityIdParams: { userAssignedClientId } };
  t.is((await getTokenFromChain(endpoint.env, configuration, second)).token, "the-second");
  t.deepEqual([endpoint.requests.length, second.calls], [1, 1]);
});

for (const probe of ["silent", "refused", "container"]) {
  test(`without configuration, the chain continues if the probe of IMDS is ${probe}`, async (t) => {
    const second = staticCredential();
    const networkClient = imdsClient(probes[probe]);
    const env = { AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined };
    t.is((await getTokenFromChain(env, { system: { networkClient } }, second)).token, "the-second");
    t.is(second.calls, 1);
    t.deepEqual(
      networkClient.requests.map(({ query }) => query),
      [[]],
      "a probe, but no token request",
    );
  });
}

test("the chain stops at any other failure", async (t) => {
  for (const [fault, code] of [
    [{ status: 500, body: "" }, "managed_identity_failed_response"],
    [{ status: 429, body: "" }, "managed_identity_failed_response"],
    [{ status: 400, body: { error: "invalid_scope" } }, "invalid_scope"],
  ]) {
    const endpoint = await startEndpoint(t);
    endpoint.always(fault);
    const second = staticCredential();
    const error = await expectError(t, getTokenFromChain(endpoint.env, NO_RETRIES, second), code);
    t.false(error instanceof CredentialUnavailableError);
    t.is(second.calls, 0);
  }
});

test("the error of an exhausted chain contains this package's error and its message", async (t) => {
  const error = await expectRejection(t, getTokenFromChain(UNREACHABLE, NO_RETRIES));
  t.is(error.name, "AggregateAuthenticationError");
  t.true(error.errors[0] instanceof CredentialUnavailableError);
  t.true(error.message.includes("refused the connection"), error.message);
});

test("aborting a call stops the chain", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.hold();
  const second = staticCredential();
  const chain = new ChainedTokenCredential(new ManagedIdentityApplication(), second);
  const controller = new AbortController();
  const call = withEnvironment(endpoint.env, () => chain.getToken(SCOPE, { abortSignal: controller.signal }));
  await endpoint.waitForRequests(1);
  controller.abort();
  t.is((await expectRejection(t, call)).name, "AbortError");
  t.is(second.calls, 0);
});
