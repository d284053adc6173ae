// Challenges, as the pipeline of the Azure SDK's clients answers them: a service that refuses a token for its claims
// gets a fresh one, and one that names the identity's tenant gets a token. (For another tenant getToken's error is
// clear, see credential-options.spec.mjs, but the pipeline keeps it to itself and asks again every three seconds
// until its first token expires: there is no end to test.)

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { BlobServiceClient } from "@azure/storage-blob";
import test from "ava";
import { claimsOf, during, getToken } from "./support/credential.mjs";
import { ONCE, startEndpoint } from "./support/endpoint.mjs";
import { claimsChallenge, clientOf, startService } from "./support/protected-service.mjs";
import { rejection } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");
const { tenantId } = require("managed-identity-native/emulator");

const SCOPE = "https://service.example/.default";
const CHALLENGE = claimsChallenge({ access_token: { nbf: { essential: true, value: "1700000000" } } });
const CAE = { enableCae: true };

/** A service that has revoked every token that it has seen once `revoke` is called. */
async function startRevoking(t) {
  const revoked = new Set();
  const service = await startService(t, (token) => (revoked.has(token) ? CHALLENGE : undefined));
  const revoke = () => {
    for (const token of service.tokens) revoked.add(token);
  };
  return { ...service, revoke };
}

test.serial("a token that is refused for its claims is replaced, for everybody", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startRevoking(t);
  await during(endpoint, async () => {
    const application = new ManagedIdentityApplication();
    const send = clientOf(service, application, SCOPE);
    t.is(await send(), 200);
    service.revoke();
    t.is(await send(), 200);
    t.is(await send(), 200);
    // A second client of the same application, and one of another.
    t.is(await clientOf(service, application, SCOPE)(), 200);
    t.is(await clientOf(service, new ManagedIdentityApplication(), SCOPE)(), 200);
  });
  const [first, , fresh] = service.tokens;
  t.not(fresh, first);
  t.deepEqual(service.tokens, [first, first, fresh, fresh, fresh, fresh]);
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.xms_cc),
    ["CP1", "CP1"],
  );
});

test.serial("a cached token that is refused at once is replaced, too", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startRevoking(t);
  const { token } = await getToken(endpoint, SCOPE, CAE);
  service.tokens.push(token);
  service.revoke();
  await during(endpoint, async () => {
    t.is(await clientOf(service, new ManagedIdentityApplication(), SCOPE)(), 200);
  });
  const [, refused, fresh] = service.tokens;
  t.is(refused, token);
  t.not(fresh, token);
  t.is((await getToken(endpoint, SCOPE, CAE)).token, fresh);
  t.is(endpoint.requests.length, 2);
});

test.serial("a service that refuses every token gets two, and its 401 is the caller's", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startService(t, () => CHALLENGE);
  await during(endpoint, async () => {
    t.is(await clientOf(service, new ManagedIdentityApplication(), SCOPE)(), 401);
  });
  t.is(new Set(service.tokens).size, 2);
  t.is(endpoint.requests.length, 2);
});

test.serial("Service Fabric is told which token was refused", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric");
  const service = await startRevoking(t);
  await during(endpoint, async () => {
    const send = clientOf(service, new ManagedIdentityApplication(), SCOPE);
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

test.serial("when no fresh token can be had, the client passes our error on", async (t) => {
  const endpoint = await startEndpoint(t);
  const service = await startRevoking(t);
  await during(endpoint, async () => {
    const send = clientOf(service, new ManagedIdentityApplication(ONCE), SCOPE);
    t.is(await send(), 200);
    service.revoke();
    endpoint.next({ status: 500, body: "out of order" });
    const error = await rejection(t, send());
    t.true(error instanceof ManagedIdentityError);
    t.is(error.statusCode, 500);
    t.true(error.message.includes("out of order"), error.message);
  });
});

test.serial("a storage account that names the identity's tenant gets a token", async (t) => {
  const endpoint = await startEndpoint(t);
  const authority = `https://login.microsoftonline.com/${tenantId.toUpperCase()}/oauth2/authorize`;
  const challenge = `Bearer authorization_uri=${authority} resource_id=https://storage.azure.com`;
  const service = await startService(t, (_, count) => (count === 1 ? challenge : undefined));
  await during(endpoint, () => storageOf(service).exists());
  t.is(service.tokens.length, 2);
  t.is(claimsOf({ token: service.tokens[1] }).aud, "https://storage.azure.com");
});

function storageOf(service) {
  const options = { tlsOptions: { ca: service.ca }, retryOptions: { maxTries: 1 } };
  const client = new BlobServiceClient(
    `${service.url}/account`,
    new ManagedIdentityApplication(ONCE),
    options,
  );
  return client.getContainerClient("container");
}
