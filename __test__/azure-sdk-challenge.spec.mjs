// Challenges, as handled by the pipeline of Azure SDK clients: a service that rejects a token with a claims challenge
// gets a new token, and a service that names the tenant of the identity gets a token. For another tenant, getToken
// rejects (credential-options.spec.mjs), but the pipeline hides the error and retries every three seconds until its
// token expires, so there is no end that a test could wait for.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { BlobServiceClient } from "@azure/storage-blob";
import test from "ava";
import { claimsOf, getToken, withEndpoint } from "./support/credential.mjs";
import { NO_RETRIES, startEndpoint } from "./support/endpoint.mjs";
import { claimsChallenge, createClient, startProtectedService } from "./support/protected-service.mjs";
import { expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");
const { tenantId } = require("managed-identity-native/emulator");

const SCOPE = "https://service.example/.default";
const CHALLENGE = claimsChallenge({ access_token: { nbf: { essential: true, value: "1700000000" } } });
const CAE = { enableCae: true };

/** Starts a service. `revoke` revokes every token that the service has received. */
async function startRevokingService(t) {
  const revoked = new Set();
  const service = await startProtectedService(t, (token) => (revoked.has(token) ? CHALLENGE : undefined));
  const revoke = () => {
    for (const token of service.tokens) revoked.add(token);
  };
  return { ...service, revoke };
}

test.serial("a claims challenge replaces the rejected token for all applications", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startRevokingService(t);
  await withEndpoint(endpoint, async () => {
    const application = new ManagedIdentityApplication();
    const send = createClient(service, application, SCOPE);
    t.is(await send(), 200);
    service.revoke();
    t.is(await send(), 200);
    t.is(await send(), 200);
    // A second client of the same application, and a client of another application.
    t.is(await createClient(service, application, SCOPE)(), 200);
    t.is(await createClient(service, new ManagedIdentityApplication(), SCOPE)(), 200);
  });
  const [first, , fresh] = service.tokens;
  t.not(fresh, first);
  t.deepEqual(service.tokens, [first, first, fresh, fresh, fresh, fresh]);
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.xms_cc),
    ["CP1", "CP1"],
  );
});

test.serial("a claims challenge to a cached token replaces it", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startRevokingService(t);
  const { token } = await getToken(endpoint, SCOPE, CAE);
  service.tokens.push(token);
  service.revoke();
  await withEndpoint(endpoint, async () => {
    t.is(await createClient(service, new ManagedIdentityApplication(), SCOPE)(), 200);
  });
  const [, rejected, fresh] = service.tokens;
  t.is(rejected, token);
  t.not(fresh, token);
  t.is((await getToken(endpoint, SCOPE, CAE)).token, fresh);
  t.is(endpoint.requests.length, 2);
});

test.serial("a service that rejects every token gets two, and the caller gets its 401", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startProtectedService(t, () => CHALLENGE);
  await withEndpoint(endpoint, async () => {
    t.is(await createClient(service, new ManagedIdentityApplication(), SCOPE)(), 401);
  });
  t.is(new Set(service.tokens).size, 2);
  t.is(endpoint.requests.length, 2);
});

test.serial("Service Fabric receives the hash of the rejected token", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  const service = await startRevokingService(t);
  await withEndpoint(endpoint, async () => {
    const send = createClient(service, new ManagedIdentityApplication(), SCOPE);
    t.is(await send(), 200);
    service.revoke();
    t.is(await send(), 200);
  });
  const hash = createHash("sha256").update(service.tokens[0]).digest("hex");
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.token_sha256_to_refresh),
    [undefined, hash],
  );
});

test.serial("if no new token can be acquired, the client rejects with our error", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startRevokingService(t);
  await withEndpoint(endpoint, async () => {
    const send = createClient(service, new ManagedIdentityApplication(NO_RETRIES), SCOPE);
    t.is(await send(), 200);
    service.revoke();
    endpoint.next({ status: 500, body: "out of order" });
    const error = await expectRejection(t, send());
    t.true(error instanceof ManagedIdentityError);
    t.is(error.statusCode, 500);
    t.true(error.message.includes("out of order"), error.message);
  });
});

test.serial("a storage account whose challenge names the identity's tenant gets a token", async (t) => {
  const endpoint = await startEndpoint(t);
  const authority = `https://login.microsoftonline.com/${tenantId.toUpperCase()}/oauth2/authorize`;
  const challenge = `Bearer authorization_uri=${authority} resource_id=https://storage.azure.com`;
  const service = await startProtectedService(t, (_, count) => (count === 1 ? challenge : undefined));
  await withEndpoint(endpoint, () => storageOf(service).exists());
  t.is(service.tokens.length, 2);
  t.is(claimsOf({ token: service.tokens[1] }).aud, "https://storage.azure.com");
});

function storageOf(service) {
  const options = { tlsOptions: { ca: service.ca }, retryOptions: { maxTries: 1 } };
  const client = new BlobServiceClient(
    `${service.url}/account`,
    new ManagedIdentityApplication(NO_RETRIES),
    options,
  );
  return client.getContainerClient("container");
}
