// The storage client of the Azure SDK with an application as its credential, against Azurite, which verifies the
// tokens.

import { createRequire } from "node:module";
import { ChainedTokenCredential } from "@azure/identity";
import { BlobServiceClient } from "@azure/storage-blob";
import test from "ava";
import { startAzurite } from "./support/azurite.mjs";
import { runProcess } from "./support/child-program.mjs";
import { claimsOf, getToken, withEndpoint } from "./support/credential.mjs";
import { acquire, NO_RETRIES, startEndpoint } from "./support/endpoint.mjs";
import { expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication, ManagedIdentityError } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const STORAGE = "https://storage.azure.com";
const HOUR = 3_600;

let azurite;
let containers = 0;

test.before(async () => {
  azurite = await startAzurite();
});

test.after.always(() => azurite?.close());

/** A client for a container with a unique name, which may not exist yet. */
function createContainerClient(credential, options) {
  const service = new BlobServiceClient(azurite.url, credential, {
    tlsOptions: { ca: azurite.ca },
    ...options,
  });
  containers += 1;
  return service.getContainerClient(`container-${containers}`);
}

async function namesIn(container) {
  const names = [];
  for await (const { name } of container.listBlobsFlat()) names.push(name);
  return names;
}

for (const [source, configuration] of [
  ["app-service", undefined],
  ["imds", undefined],
  ["imds", { managedIdentityIdParams: { userAssignedClientId: userAssignedIdentity.clientId } }],
]) {
  const identity = configuration ? "user-assigned" : "system-assigned";
  test.serial(
    `${source}, ${identity}: a client uploads, lists, downloads and deletes blobs with one token`,
    async (t) => {
      const endpoint = await startEndpoint(t, source);
      await withEndpoint(endpoint, async () => {
        const container = createContainerClient(new ManagedIdentityApplication(configuration));
        await container.create();
        const blob = container.getBlockBlobClient("greeting.txt");
        await blob.upload("Hello", 5);
        t.deepEqual(await namesIn(container), ["greeting.txt"]);
        t.is(String(await blob.downloadToBuffer()), "Hello");
        await blob.delete();
        t.deepEqual(await namesIn(container), []);
        t.is((await expectRejection(t, blob.downloadToBuffer())).statusCode, 404);
      });
      t.deepEqual(
        endpoint.requests.map(({ query }) => [query.resource, query.xms_cc, query.client_id]),
        [[STORAGE, "CP1", configuration?.managedIdentityIdParams.userAssignedClientId]],
      );
    },
  );
}

test.serial("twenty clients that start at the same time send one token request", async (t) => {
  const endpoint = await startEndpoint(t);
  await withEndpoint(endpoint, async () => {
    const clients = Array.from({ length: 20 }, () => createContainerClient(new ManagedIdentityApplication()));
    await Promise.all(clients.map((container) => container.create()));
    const exist = await Promise.all(clients.map((container) => container.exists()));
    t.true(exist.every(Boolean));
  });
  t.is(endpoint.requests.length, 1);
});

test.serial("the storage service rejects a token for another audience", async (t) => {
  const endpoint = await startEndpoint(t);
  await withEndpoint(endpoint, async () => {
    const container = createContainerClient(new ManagedIdentityApplication(), {
      audience: "https://vault.azure.net",
    });
    const error = await expectRejection(t, container.create());
    t.is(error.name, "RestError");
    t.is(error.statusCode, 403);
    t.is(error.code, "AuthenticationFailed");
    t.is(error.details.authenticationErrorDetail, "Invalid token audience.");
  });
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.resource),
    ["https://vault.azure.net"],
  );
});

test.serial("the storage service rejects an expired token that the endpoint declared valid", async (t) => {
  const endpoint = await startEndpoint(t);
  const inOneHour = String(Math.floor(Date.now() / 1_000) + HOUR);
  endpoint.next({
    expiresIn: -60,
    body: (original) => ({ ...original, expires_on: inOneHour, expires_in: HOUR }),
  });
  await withEndpoint(endpoint, async () => {
    const application = new ManagedIdentityApplication();
    const error = await expectRejection(t, createContainerClient(application).create());
    t.is(error.statusCode, 403);
    t.is(error.code, "AuthenticationFailed");
    t.is(error.details.authenticationErrorDetail, "Lifetime validation failed. The token is expired.");
    // The caller's remedy for a token that the service rejects.
    ManagedIdentityApplication.clearCache();
    t.true((await createContainerClient(application).create()).requestId.length > 0);
  });
  t.is(endpoint.requests.length, 2);
});

test.serial("an expired token that the endpoint declares expired is not sent to the service", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ expiresIn: -60 });
  await withEndpoint(endpoint, async () => {
    const error = await expectRejection(
      t,
      createContainerClient(new ManagedIdentityApplication(NO_RETRIES)).create(),
    );
    t.true(error instanceof ManagedIdentityError, "the client rejects with our error");
    t.is(error.code, "managed_identity_failed_response");
    t.true(error.message.includes("has already expired (is this host's clock right?)"), error.message);
  });
});

test.serial("aborting an operation that waits for its token rejects it", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  await withEndpoint(endpoint, async () => {
    const controller = new AbortController();
    const container = createContainerClient(new ManagedIdentityApplication());
    const call = container.create({ abortSignal: controller.signal });
    await endpoint.waitForRequests(1);
    controller.abort();
    t.is((await expectRejection(t, call)).name, "AbortError");
    release();
    t.is((await container.create()).errorCode, undefined);
  });
  t.is(endpoint.requests.length, 1);
});

test.serial("in a chain without a managed identity, the next credential is used", async (t) => {
  const endpoint = await startEndpoint(t);
  const { accessToken, expiresOn } = await acquire(endpoint, STORAGE);
  const developer = {
    getToken: async () => ({ token: accessToken, expiresOnTimestamp: expiresOn.getTime() }),
  };
  ManagedIdentityApplication.clearCache();
  const chain = new ChainedTokenCredential(new ManagedIdentityApplication(NO_RETRIES), developer);
  const container = createContainerClient(chain);
  const blob = container.getBlockBlobClient("a");
  // Without `withEndpoint`, the environment names a port on which nothing listens.
  await container.create();
  await blob.upload("a", 1);
  t.deepEqual(await namesIn(container), ["a"]);
  t.is(endpoint.requests.length, 1, "the request of the test itself");
});

test.serial("a process trusts Azurite by NODE_EXTRA_CA_CERTS", async (t) => {
  const endpoint = await startEndpoint(t);
  const program = async ({ native, require, argument, report }) => {
    const { BlobServiceClient } = require("@azure/storage-blob");
    const service = new BlobServiceClient(argument, new native.ManagedIdentityApplication());
    const container = service.getContainerClient("trusting");
    await container.create();
    await container.getBlockBlobClient("a").upload("a", 1);
    report(String(await container.getBlockBlobClient("a").downloadToBuffer()));
  };
  const env = { ...endpoint.env, NODE_EXTRA_CA_CERTS: azurite.caFile };
  t.deepEqual(await runProcess(t, program, { env, argument: azurite.url }), ["a"]);
  t.is(endpoint.requests.length, 1);
});

test.serial("Azurite rejects an invalid token, so the other tests do verify tokens", async (t) => {
  const endpoint = await startEndpoint(t);
  const { token, ...rest } = await getToken(endpoint, STORAGE);
  t.is(claimsOf({ token }).aud, STORAGE);
  const credential = { getToken: async () => ({ ...rest, token: token.replace(/\..*\./, ".e30.") }) };
  const error = await expectRejection(t, createContainerClient(credential).create());
  t.is(error.statusCode, 403);
});
