// The cache: who shares a token, when one is asked for anew, and what makes a remembered one be forgotten.
//
// These tests run one after another, since the cache that they clear is the process's.

import { createRequire } from "node:module";
import test from "ava";
import { atOneInstant } from "./support/clock.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { startWorker } from "./support/program.mjs";
import { refusal } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const FORCED = { resource: RESOURCE, forceRefresh: true };
const CLAIMS = { resource: RESOURCE, claims: '{"access_token":{"nbf":{"essential":true}}}' };

/** An endpoint, and a way to ask it by one application. */
async function start(t, options, source = "app-service") {
  const endpoint = await startEndpoint(t, source, options);
  const application = new ManagedIdentityApplication();
  return { endpoint, application, ask: (request) => acquire(endpoint, request, application) };
}

/** A worker thread that asks by one application for whatever the test posts, or calls clearCache. */
function startAsking(t, endpoint) {
  const worker = startWorker(
    t,
    async ({ native, report, received }) => {
      const application = new native.ManagedIdentityApplication();
      for (;;) {
        const request = await received();
        if (request === "clearCache") {
          native.ManagedIdentityApplication.clearCache();
          report("cleared");
        } else {
          const { fromCache, accessToken } = await application.acquireToken(request);
          report({ fromCache, accessToken });
        }
      }
    },
    { env: endpoint.env },
  );
  return (request) => {
    worker.post(request);
    return worker.next();
  };
}

test.serial("the second call is served from the cache, without a request", async (t) => {
  const { endpoint, ask } = await start(t);
  const first = await ask();
  const second = await ask();
  const third = await ask({ resource: RESOURCE, forceRefresh: false });
  t.deepEqual(
    [first, second, third].map(({ fromCache }) => fromCache),
    [false, true, true],
  );
  t.true(second.accessToken === first.accessToken && third.accessToken === first.accessToken);
  t.is(endpoint.requests.length, 1);
});

test.serial("applications share tokens, a remembered one or not", async (t) => {
  const { endpoint, ask } = await start(t);
  await ask();
  t.true((await acquire(endpoint)).fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial("forceRefresh asks, and what it brings replaces what was cached, for all", async (t) => {
  const { endpoint, ask } = await start(t);
  const first = await ask();
  const forced = await acquire(endpoint, FORCED);
  const after = await ask();
  t.false(forced.fromCache);
  t.true(after.fromCache);
  t.true(after.accessToken === forced.accessToken && after.accessToken !== first.accessToken);
  t.is(endpoint.requests.length, 2);
});

test.serial("a forceRefresh that fails leaves the cached token alone", async (t) => {
  const { endpoint, ask } = await start(t);
  await ask();
  endpoint.next({ status: 400 });
  await refusal(t, ask(FORCED), "managed_identity_failed_response");
  t.true((await ask()).fromCache);
  t.true((await acquire(endpoint)).fromCache);
});

test.serial("claims ask, and what they bring replaces what was cached, for all", async (t) => {
  const { endpoint, ask } = await start(t);
  const first = await ask();
  const claimed = await acquire(endpoint, CLAIMS);
  const after = await ask();
  t.false(claimed.fromCache);
  t.true(after.accessToken === claimed.accessToken && after.accessToken !== first.accessToken);
  t.deepEqual(Object.keys(endpoint.requests[1].query), ["api-version", "resource"]);
  t.is(endpoint.requests.length, 2);
});

test.serial("clearCache forgets every token, remembered ones included", async (t) => {
  const { endpoint, ask } = await start(t);
  await ask();
  await ask("https://storage.azure.com");
  ManagedIdentityApplication.clearCache();
  t.false((await ask()).fromCache);
  t.false((await acquire(endpoint, "https://storage.azure.com")).fromCache);
  t.is(endpoint.requests.length, 4);
});

test.serial("clearCache during a flight: its waiters are answered, its token is not kept", async (t) => {
  const { endpoint, ask } = await start(t);
  const release = endpoint.hold();
  const early = ask();
  await endpoint.waitForRequests(1);
  ManagedIdentityApplication.clearCache();
  const late = acquire(endpoint);
  await endpoint.waitForRequests(2);
  release();
  const [first, second] = await Promise.all([early, late]);
  t.false(first.fromCache || second.fromCache);
  t.true(first.accessToken !== second.accessToken);
  const after = await ask();
  t.true(after.fromCache && after.accessToken === second.accessToken);
  t.is(endpoint.requests.length, 2);
});

test.serial(
  "clearCache during a flight: its own application starts anew, in the same moment too",
  async (t) => {
    const { endpoint, application } = await start(t);
    const calls = atOneInstant(() => {
      const early = acquire(endpoint, RESOURCE, application);
      ManagedIdentityApplication.clearCache();
      return [early, acquire(endpoint, RESOURCE, application)];
    });
    const [first, second] = await Promise.all(calls);
    t.is(endpoint.requests.length, 2);
    t.true(first.accessToken !== second.accessToken);
  },
);

test.serial("a worker thread shares the cache", async (t) => {
  const { endpoint, ask } = await start(t);
  const askWorker = startAsking(t, endpoint);
  const { accessToken } = await ask();
  const other = await askWorker(RESOURCE);
  t.true(other.fromCache && other.accessToken === accessToken);
  t.is(endpoint.requests.length, 1);
});

test.serial("clearCache in a worker thread is seen by the main thread's next call", async (t) => {
  const { endpoint, ask } = await start(t);
  const askWorker = startAsking(t, endpoint);
  await ask();
  t.true((await ask()).fromCache);
  await askWorker("clearCache");
  t.false((await ask()).fromCache);
  t.is(endpoint.requests.length, 2);
});

for (const [name, request] of [
  ["forceRefresh", FORCED],
  ["claims", CLAIMS],
]) {
  test.serial(`${name} in a worker thread is seen by the main thread's next call`, async (t) => {
    const { endpoint, ask } = await start(t);
    const askWorker = startAsking(t, endpoint);
    await ask();
    const forced = await askWorker(request);
    const after = await ask();
    t.true(!forced.fromCache && after.fromCache && after.accessToken === forced.accessToken);
    t.is(endpoint.requests.length, 2);
  });
}

test.serial("a resource with and one without a slash at its end are two", async (t) => {
  const { endpoint, ask } = await start(t);
  const plain = await ask("https://vault.azure.net");
  const slashed = await ask("https://vault.azure.net/");
  t.false(slashed.fromCache);
  t.true(plain.accessToken !== slashed.accessToken);
  t.deepEqual(slashed.scopes, ["https://vault.azure.net/"]);
  t.is(endpoint.requests.length, 2);
});

test.serial("/.default is no other resource", async (t) => {
  const { endpoint, ask } = await start(t);
  await ask("https://vault.azure.net/.default");
  t.true((await ask("https://vault.azure.net")).fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial("identities, their kinds and capabilities do not share tokens", async (t) => {
  const { endpoint } = await start(t);
  const { clientId, objectId, resourceId } = userAssignedIdentity;
  const configurations = [
    {},
    { clientCapabilities: ["cp1"] },
    { clientCapabilities: ["cp1", "cp2"] },
    { managedIdentityIdParams: { userAssignedClientId: clientId } },
    { managedIdentityIdParams: { userAssignedObjectId: objectId } },
    { managedIdentityIdParams: { userAssignedResourceId: resourceId } },
    { managedIdentityIdParams: { userAssignedClientId: clientId }, clientCapabilities: ["cp1"] },
  ];
  for (const expected of [false, true]) {
    for (const configuration of configurations) {
      const { fromCache } = await acquire(endpoint, RESOURCE, new ManagedIdentityApplication(configuration));
      t.is(fromCache, expected);
    }
  }
  t.is(endpoint.requests.length, configurations.length);
});

test.serial("the same id as another kind of id is another identity", async (t) => {
  const { endpoint } = await start(t);
  const id = userAssignedIdentity.clientId;
  const byClientId = new ManagedIdentityApplication({
    managedIdentityIdParams: { userAssignedClientId: id },
  });
  const byObjectId = new ManagedIdentityApplication({
    managedIdentityIdParams: { userAssignedObjectId: id },
  });
  await acquire(endpoint, RESOURCE, byClientId);
  await refusal(t, acquire(endpoint, RESOURCE, byObjectId), "managed_identity_failed_response");
});

test.serial("a token whose expiry cannot be read is served once", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.always({ body: { access_token: "opaque", expires_on: "some day" } });
  for (const count of [1, 2, 3]) {
    const from = Date.now();
    const { fromCache, expiresOn, refreshOn } = await ask();
    t.false(fromCache);
    t.true(expiresOn.getTime() >= from && expiresOn.getTime() <= Date.now());
    t.is(refreshOn, undefined);
    t.is(endpoint.requests.length, count);
  }
});

test.serial("simultaneous callers share even a token whose expiry cannot be read", async (t) => {
  const { endpoint } = await start(t);
  endpoint.always({ body: { access_token: "opaque" } });
  await Promise.all([acquire(endpoint), acquire(endpoint), acquire(endpoint)]);
  t.is(endpoint.requests.length, 1);
});

test.serial("a token that the endpoint hands out nearly expired makes no request per call", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.always({ expiresIn: 200 });
  const first = await ask();
  for (let call = 0; call < 20; call += 1) {
    const { fromCache, accessToken } = call % 2 === 0 ? await ask() : await acquire(endpoint);
    t.true(fromCache && accessToken === first.accessToken);
  }
  t.is(endpoint.requests.length, 1);
});

test.serial("a token of under two hours is fresh until its last five minutes", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.always({ expiresIn: 330 });
  t.is((await ask()).refreshOn, undefined);
  t.true((await ask()).fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial("a token that has expired already is no token, and is not kept", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.next({ expiresIn: -5 });
  const error = await refusal(t, ask(), "managed_identity_failed_response");
  t.is(error.statusCode, 200);
  t.false((await ask()).fromCache);
});

test.serial("a token that expires is not served again", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.next({ expiresIn: 1 });
  const { expiresOn } = await ask();
  // Asked again and again, without waiting: each is served before the instant, and none after it.
  let served;
  do served = await ask();
  while (served.fromCache);
  t.true(Date.now() >= expiresOn.getTime());
  t.is(endpoint.requests.length, 2);
});

test.serial("a changed environment shows at the next call that is not remembered", async (t) => {
  const { endpoint, application, ask } = await start(t);
  const { endpoint: other } = await start(t, {}, "imds");
  await ask();
  t.true((await acquire(other, RESOURCE, application)).fromCache, "remembered");
  t.false((await acquire(other, FORCED, application)).fromCache);
  t.false((await acquire(other, "https://storage.azure.com", application)).fromCache);
  t.deepEqual([endpoint.requests.length, other.requests.length], [1, 2]);
});

test.serial("a changed environment shows at a call of the same moment, too", async (t) => {
  const { endpoint, application } = await start(t);
  const { endpoint: other } = await start(t);
  const calls = atOneInstant(() => [
    acquire(endpoint, RESOURCE, application),
    acquire(other, RESOURCE, application),
  ]);
  await Promise.all(calls);
  t.deepEqual([endpoint.requests.length, other.requests.length], [1, 1]);
});

test.serial("what an earlier environment brings late does not take the place of a later one's", async (t) => {
  const { endpoint, application } = await start(t);
  const { endpoint: other } = await start(t);
  const release = endpoint.hold();
  const early = acquire(endpoint, RESOURCE, application);
  await endpoint.waitForRequests(1);
  const late = await acquire(other, RESOURCE, application);
  release();
  t.not((await early).accessToken, late.accessToken);
  t.is((await acquire(other, RESOURCE, application)).accessToken, late.accessToken);
  t.deepEqual([endpoint.requests.length, other.requests.length], [1, 1]);
});

test.serial(
  "a new application sees a changed environment at once, and the old token is still there",
  async (t) => {
    const { endpoint, ask } = await start(t);
    const { endpoint: other } = await start(t);
    const first = await ask();
    const second = await acquire(other);
    t.false(second.fromCache);
    const again = await acquire(endpoint);
    t.true(again.fromCache && again.accessToken === first.accessToken);
  },
);

test.serial("a changed secret alone does not make a cached token another", async (t) => {
  const { endpoint, ask } = await start(t);
  await ask();
  const env = { ...endpoint.env, IDENTITY_HEADER: "rotated" };
  t.true((await acquire({ env })).fromCache);
});

test.serial("hundreds of tokens are kept apart", async (t) => {
  const { endpoint, ask } = await start(t);
  const resources = Array.from({ length: 300 }, (_, index) => `api://resource-${index}`);
  const first = await Promise.all(resources.map(ask));
  const second = await Promise.all(resources.map(ask));
  t.is(endpoint.requests.length, resources.length);
  t.true(second.every(({ fromCache, scopes }, index) => fromCache && scopes[0] === resources[index]));
  t.true(second.every(({ accessToken }, index) => accessToken === first[index].accessToken));
});

test.serial("an endpoint is asked over 32 connections at most, one of them for probes", async (t) => {
  const { endpoint, ask } = await start(t);
  const { ask: askOther } = await start(t);
  const release = endpoint.hold();
  const calls = Array.from({ length: 100 }, (_, index) => ask(`api://resource-${index}`));
  await endpoint.waitForRequests(31);
  // Whatever else was on its way has arrived before an exchange with another endpoint is over.
  await askOther();
  t.is(endpoint.requests.length, 31);
  release();
  await Promise.all(calls);
  t.is(endpoint.requests.length, 100);
});

test.serial(
  "a getter that makes its application ask in another environment changes nobody else's",
  async (t) => {
    const [first, second, third] = [
      await startEndpoint(t),
      await startEndpoint(t, "imds"),
      await startEndpoint(t, "imds"),
    ];
    const application = new ManagedIdentityApplication();
    const inner = [];
    const request = {
      resource: RESOURCE,
      get claims() {
        inner.push(acquire(second, "https://inner.example", application));
        return "{}";
      },
    };
    await acquire(first, request, application);
    await Promise.all(inner);
    t.true(inner.length > 0);
    await acquire(third, "https://last.example", application);
    t.deepEqual(
      [first, second, third].map(({ requests }) => requests.map(({ query }) => query.resource)),
      [[RESOURCE], ["https://inner.example"], ["https://last.example"]],
    );
  },
);

test.serial(
  "an application that has seen another environment remembers nothing of the one before",
  async (t) => {
    const [before, after] = [await startEndpoint(t), await startEndpoint(t)];
    const application = new ManagedIdentityApplication();
    await acquire(before, RESOURCE, application);
    // Too short-lived to be remembered in the place of the other.
    after.always({ expiresIn: 200 });
    const { accessToken } = await acquire(after, FORCED, application);
    t.is((await acquire(after, RESOURCE, application)).accessToken === accessToken, true);
    t.is(before.requests.length, 1);
  },
);
