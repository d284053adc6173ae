// The memory cache: what shares a token, when a token is requested again, and what removes a cached or memoized token.
//
// The tests are serial because they clear the cache, which belongs to the process.

import { createRequire } from "node:module";
import test from "ava";
import { startWorker } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const FORCED = { resource: RESOURCE, forceRefresh: true };
const CLAIMS = { resource: RESOURCE, claims: '{"access_token":{"nbf":{"essential":true}}}' };

/** Starts an endpoint, and returns it with an application and a function that acquires tokens from it. */
async function start(t, options, source = "app-service") {
  const endpoint = await startEndpoint(t, source, options);
  const application = new ManagedIdentityApplication();
  return { endpoint, application, requestToken: (request) => acquire(endpoint, request, application) };
}

/**
 * Starts a worker thread with an application that acquires a token for each request that the test posts, or calls
 * clearCache.
 */
function startAcquiringWorker(t, endpoint) {
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
  const { endpoint, requestToken } = await start(t);
  const first = await requestToken();
  const second = await requestToken();
  const third = await requestToken({ resource: RESOURCE, forceRefresh: false });
  t.deepEqual(
    [first, second, third].map(({ fromCache }) => fromCache),
    [false, true, true],
  );
  t.true(second.accessToken === first.accessToken && third.accessToken === first.accessToken);
  t.is(endpoint.requests.length, 1);
});

test.serial("applications share cached tokens", async (t) => {
  const { endpoint, requestToken } = await start(t);
  await requestToken();
  t.true((await acquire(endpoint)).fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial(
  "forceRefresh sends a request, and its token replaces the cached one for all applications",
  async (t) => {
    const { endpoint, requestToken } = await start(t);
    const first = await requestToken();
    const refreshed = await acquire(endpoint, FORCED);
    const after = await requestToken();
    t.false(refreshed.fromCache);
    t.true(after.fromCache);
    t.true(after.accessToken === refreshed.accessToken && after.accessToken !== first.accessToken);
    t.is(endpoint.requests.length, 2);
  },
);

test.serial("a failed forceRefresh leaves the cached token in place", async (t) => {
  const { endpoint, requestToken } = await start(t);
  await requestToken();
  endpoint.next({ status: 400 });
  await expectError(t, requestToken(FORCED), "managed_identity_failed_response");
  t.true((await requestToken()).fromCache);
  t.true((await acquire(endpoint)).fromCache);
});

test.serial(
  "claims send a request, and its token replaces the cached one for all applications",
  async (t) => {
    const { endpoint, requestToken } = await start(t);
    const first = await requestToken();
    const claimed = await acquire(endpoint, CLAIMS);
    const after = await requestToken();
    t.false(claimed.fromCache);
    t.true(after.accessToken === claimed.accessToken && after.accessToken !== first.accessToken);
    t.deepEqual(Object.keys(endpoint.requests[1].query), ["api-version", "resource"]);
    t.is(endpoint.requests.length, 2);
  },
);

test.serial("clearCache removes every token, including memoized ones", async (t) => {
  const { endpoint, requestToken } = await start(t);
  await requestToken();
  await requestToken("https://storage.azure.com");
  ManagedIdentityApplication.clearCache();
  t.false((await requestToken()).fromCache);
  t.false((await acquire(endpoint, "https://storage.azure.com")).fromCache);
  t.is(endpoint.requests.length, 4);
});

test.serial(
  "clearCache with a request in flight: its waiters get the token, but it is not cached",
  async (t) => {
    const { endpoint, requestToken } = await start(t);
    const release = endpoint.hold();
    const early = requestToken();
    await endpoint.waitForRequests(1);
    ManagedIdentityApplication.clearCache();
    const late = acquire(endpoint);
    await endpoint.waitForRequests(2);
    release();
    const [first, second] = await Promise.all([early, late]);
    t.false(first.fromCache || second.fromCache);
    t.true(first.accessToken !== second.accessToken);
    const after = await requestToken();
    t.true(after.fromCache && after.accessToken === second.accessToken);
    t.is(endpoint.requests.length, 2);
  },
);

test.serial(
  "clearCache with a request in flight: calls in the same millisecond start a new request",
  async (t) => {
    const { endpoint, application } = await start(t);
    const calls = withFrozenClock(() => {
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
  const { endpoint, requestToken } = await start(t);
  const requestInWorker = startAcquiringWorker(t, endpoint);
  const { accessToken } = await requestToken();
  const other = await requestInWorker(RESOURCE);
  t.true(other.fromCache && other.accessToken === accessToken);
  t.is(endpoint.requests.length, 1);
});

test.serial("clearCache in a worker thread takes effect at the main thread's next call", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const requestInWorker = startAcquiringWorker(t, endpoint);
  await requestToken();
  t.true((await requestToken()).fromCache);
  await requestInWorker("clearCache");
  t.false((await requestToken()).fromCache);
  t.is(endpoint.requests.length, 2);
});

for (const [name, request] of [
  ["forceRefresh", FORCED],
  ["claims", CLAIMS],
]) {
  test.serial(`${name} in a worker thread takes effect at the main thread's next call`, async (t) => {
    const { endpoint, requestToken } = await start(t);
    const requestInWorker = startAcquiringWorker(t, endpoint);
    await requestToken();
    const refreshed = await requestInWorker(request);
    const after = await requestToken();
    t.true(!refreshed.fromCache && after.fromCache && after.accessToken === refreshed.accessToken);
    t.is(endpoint.requests.length, 2);
  });
}

test.serial("resources that differ in a trailing slash are different", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const plain = await requestToken("https://vault.azure.net");
  const slashed = await requestToken("https://vault.azure.net/");
  t.false(slashed.fromCache);
  t.true(plain.accessToken !== slashed.accessToken);
  t.deepEqual(slashed.scopes, ["https://vault.azure.net/"]);
  t.is(endpoint.requests.length, 2);
});

test.serial("a resource with /.default is the same resource", async (t) => {
  const { endpoint, requestToken } = await start(t);
  await requestToken("https://vault.azure.net/.default");
  t.true((await requestToken("https://vault.azure.net")).fromCache);
  t.is(endpoint.requests.length, 1);
});

test.serial("identities, kinds of id and client capabilities do not share tokens", async (t) => {
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
  await expectError(t, acquire(endpoint, RESOURCE, byObjectId), "managed_identity_failed_response");
});

test.serial("a token without a readable expiry is not cached", async (t) => {
  const { endpoint, requestToken } = await start(t);
  endpoint.always({ body: { access_token: "opaque", expires_on: "some day" } });
  for (const count of [1, 2, 3]) {
    const from = Date.now();
    const { fromCache, expiresOn, refreshOn } = await requestToken();
    t.false(fromCache);
    t.true(expiresOn.getTime() >= from && expiresOn.getTime() <= Date.now());
    t.is(refreshOn, undefined);
    t.is(endpoint.requests.length, count);
  }
});

test.serial("concurrent calls share a token without a readable expiry", async (t) => {
  const { endpoint } = await start(t);
  endpoint.always({ body: { access_token: "opaque" } });
  await Promise.all([acquire(endpoint), acquire(endpoint), acquire(endpoint)]);
  t.is(endpoint.requests.length, 1);
});

test.serial("a token that is near expiry when it is issued does not cause a request per call", async (t) => {
  const { endpoint, requestToken } = await start(t);
  endpoint.always({ expiresIn: 200 });
  const first = await requestToken();
  for (let call = 0; call < 20; call += 1) {
    const { fromCache, accessToken } = call % 2 === 0 ? await requestToken() : await acquire(endpoint);
    t.true(fromCache && accessToken === first.accessToken);
  }
  t.is(endpoint.requests.length, 1);
});

test.serial(
  "a token with a lifetime of less than two hours is fresh until its last five minutes",
  async (t) => {
    const { endpoint, requestToken } = await start(t);
    endpoint.always({ expiresIn: 330 });
    t.is((await requestToken()).refreshOn, undefined);
    t.true((await requestToken()).fromCache);
    t.is(endpoint.requests.length, 1);
  },
);

test.serial("a token that is expired when it is issued is rejected and not cached", async (t) => {
  const { endpoint, requestToken } = await start(t);
  endpoint.next({ expiresIn: -5 });
  const error = await expectError(t, requestToken(), "managed_identity_failed_response");
  t.is(error.statusCode, 200);
  t.false((await requestToken()).fromCache);
});

test.serial("an expired token is not returned", async (t) => {
  const { endpoint, requestToken } = await start(t);
  endpoint.next({ expiresIn: 1 });
  const { expiresOn } = await requestToken();
  // The loop calls without waiting: calls before the expiry are served from the cache, the first call after it is not.
  let result;
  do result = await requestToken();
  while (result.fromCache);
  t.true(Date.now() >= expiresOn.getTime());
  t.is(endpoint.requests.length, 2);
});

test.serial(
  "a changed environment takes effect at the next call that is not served from memory",
  async (t) => {
    const { endpoint, application, requestToken } = await start(t);
    const { endpoint: other } = await start(t, {}, "imds");
    await requestToken();
    t.true((await acquire(other, RESOURCE, application)).fromCache, "memoized");
    t.false((await acquire(other, FORCED, application)).fromCache);
    t.false((await acquire(other, "https://storage.azure.com", application)).fromCache);
    t.deepEqual([endpoint.requests.length, other.requests.length], [1, 2]);
  },
);

test.serial("a changed environment takes effect at a call in the same millisecond", async (t) => {
  const { endpoint, application } = await start(t);
  const { endpoint: other } = await start(t);
  const calls = withFrozenClock(() => [
    acquire(endpoint, RESOURCE, application),
    acquire(other, RESOURCE, application),
  ]);
  await Promise.all(calls);
  t.deepEqual([endpoint.requests.length, other.requests.length], [1, 1]);
});

test.serial(
  "a late token from an earlier environment does not replace the memoized token of the current one",
  async (t) => {
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
  },
);

test.serial(
  "a new application uses a changed environment immediately, and the old token remains cached",
  async (t) => {
    const { endpoint, requestToken } = await start(t);
    const { endpoint: other } = await start(t);
    const first = await requestToken();
    const second = await acquire(other);
    t.false(second.fromCache);
    const again = await acquire(endpoint);
    t.true(again.fromCache && again.accessToken === first.accessToken);
  },
);

test.serial("a changed secret alone does not change the cache key", async (t) => {
  const { endpoint, requestToken } = await start(t);
  await requestToken();
  const env = { ...endpoint.env, IDENTITY_HEADER: "rotated" };
  t.true((await acquire({ env })).fromCache);
});

test.serial("hundreds of resources have different tokens", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const resources = Array.from({ length: 300 }, (_, index) => `api://resource-${index}`);
  const first = await Promise.all(resources.map(requestToken));
  const second = await Promise.all(resources.map(requestToken));
  t.is(endpoint.requests.length, resources.length);
  t.true(second.every(({ fromCache, scopes }, index) => fromCache && scopes[0] === resources[index]));
  t.true(second.every(({ accessToken }, index) => accessToken === first[index].accessToken));
});

test.serial("an endpoint gets at most 31 concurrent token requests", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const { requestToken: requestFromOther } = await start(t);
  const release = endpoint.hold();
  const calls = Array.from({ length: 100 }, (_, index) => requestToken(`api://resource-${index}`));
  await endpoint.waitForRequests(31);
  // Any further request would have arrived before a later request to another endpoint was answered.
  await requestFromOther();
  t.is(endpoint.requests.length, 31);
  release();
  await Promise.all(calls);
  t.is(endpoint.requests.length, 100);
});

test.serial(
  "a getter in a request that acquires a token in another environment does not affect other calls",
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
  "a token of a previous environment is not returned after the environment has changed",
  async (t) => {
    const [before, after] = [await startEndpoint(t), await startEndpoint(t)];
    const application = new ManagedIdentityApplication();
    await acquire(before, RESOURCE, application);
    // Too short-lived to replace the memoized token.
    after.always({ expiresIn: 200 });
    const { accessToken } = await acquire(after, FORCED, application);
    t.is((await acquire(after, RESOURCE, application)).accessToken === accessToken, true);
    t.is(before.requests.length, 1);
  },
);
