// The Azure SDK's storage client with an application as its credential, against Azurite, which judges our tokens.

import { createRequire } from "node:module";
import { ChainedTokenCredential } from "@azure/identity";
import { BlobServiceClient } from "@azure/storage-blob";
import test from "ava";
import { startAzurite } from "./support/azurite.mjs";
import { claimsOf, during, getToken } from "./support/credential.mjs";
import { acquire, ONCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";
import { rejection } from "./support/refusal.mjs";

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

/** A client with a container of its own, which may not be there yet. */
function containerOf(credential, options) {
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
  const whose = configuration ? "user-assigned" : "system-assigned";
  test.serial(`${source}, ${whose}: it uploads, lists, downloads and deletes, by one token`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    await during(endpoint, async () => {
      const container = containerOf(new ManagedIdentityApplication(configuration));
      await container.create();
      const blob = container.getBlockBlobClient("greeting.txt");
      await blob.upload("Hello", 5);
      t.deepEqual(await namesIn(container), ["greeting.txt"]);
      t.is(String(await blob.downloadToBuffer()), "Hello");
      await blob.delete();
      t.deepEqual(await namesIn(container), []);
      t.is((await rejection(t, blob.downloadToBuffer())).statusCode, 404);
    });
    t.deepEqual(
      endpoint.requests.map(({ query }) => [query.resource, query.xms_cc, query.client_id]),
      [[STORAGE, "CP1", configuration?.managedIdentityIdParams.userAssignedClientId]],
    );
  });
}

test.serial("twenty clients that start at once make one token request", async (t) => {
  const endpoint = await startEndpoint(t);
  await during(endpoint, async () => {
    const clients = Array.from({ length: 20 }, () => containerOf(new ManagedIdentityApplication()));
    await Promise.all(clients.map((container) => container.create()));
    const exist = await Promise.all(clients.map((container) => container.exists()));
    t.true(exist.every(Boolean));
  });
  t.is(endpoint.requests.length, 1);
});

test.serial("a token for another audience is refused, and the error says so", async (t) => {
  const endpoint = await startEndpoint(t);
  await during(endpoint, async () => {
    const container = containerOf(new ManagedIdentityApplication(), { audience: "https://vault.azure.net" });
    const error = await rejection(t, container.create());
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

test.serial(
  "an expired token that the endpoint passed off as valid is refused, and the error says so",
  async (t) => {
    const endpoint = await startEndpoint(t);
    const later = String(Math.floor(Date.now() / 1_000) + HOUR);
    endpoint.next({ expiresIn: -60, body: (answer) => ({ ...answer, expires_on: later, expires_in: HOUR }) });
    await during(endpoint, async () => {
      const application = new ManagedIdentityApplication();
      const error = await rejection(t, containerOf(application).create());
      t.is(error.statusCode, 403);
      t.is(error.code, "AuthenticationFailed");
      t.is(error.details.authenticationErrorDetail, "Lifetime validation failed. The token is expired.");
      // What a service would do that knows better.
      ManagedIdentityApplication.clearCache();
      t.true((await containerOf(application).create()).requestId.length > 0);
    });
    t.is(endpoint.requests.length, 2);
  },
);

test.serial("an expired token that the endpoint hands out as such never reaches the service", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ expiresIn: -60 });
  await during(endpoint, async () => {
    const error = await rejection(t, containerOf(new ManagedIdentityApplication(ONCE)).create());
    t.true(error instanceof ManagedIdentityError, "the client passes our error on");
    t.is(error.code, "managed_identity_failed_response");
    t.true(error.message.includes("has already expired (is this host's clock right?)"), error.message);
  });
});

test.serial("an operation that is aborted while it waits for its token ends", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  await during(endpoint, async () => {
    const controller = new AbortController();
    const container = containerOf(new ManagedIdentityApplication());
    const call = container.create({ abortSignal: controller.signal });
    await endpoint.waitForRequests(1);
    controller.abort();
    t.is((await rejection(t, call)).name, "AbortError");
    release();
    t.is((await container.create()).errorCode, undefined);
  });
  t.is(endpoint.requests.length, 1);
});

test.serial("in a chain: where there is no managed identity, the next credential uploads", async (t) => {
  const endpoint = await startEndpoint(t);
  const { accessToken, expiresOn } = await acquire(endpoint, STORAGE);
  const developer = {
    getToken: async () => ({ token: accessToken, expiresOnTimestamp: expiresOn.getTime() }),
  };
  ManagedIdentityApplication.clearCache();
  const chain = new ChainedTokenCredential(new ManagedIdentityApplication(ONCE), developer);
  const container = containerOf(chain);
  const blob = container.getBlockBlobClient("a");
  // The environment leads to a port at which nobody listens.
  await container.create();
  await blob.upload("a", 1);
  t.deepEqual(await namesIn(container), ["a"]);
  t.is(endpoint.requests.length, 1, "the developer's own");
});

test.serial("a process that trusts Azurite by NODE_EXTRA_CA_CERTS", async (t) => {
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

test.serial("Azurite would refuse a token that is none: what passes is judged", async (t) => {
  const endpoint = await startEndpoint(t);
  const { token, ...rest } = await getToken(endpoint, STORAGE);
  t.is(claimsOf({ token }).aud, STORAGE);
  const credential = { getToken: async () => ({ ...rest, token: token.replace(/\..*\./, ".e30.") }) };
  const error = await rejection(t, containerOf(credential).create());
  t.is(error.statusCode, 403);
});
