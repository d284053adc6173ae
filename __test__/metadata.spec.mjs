// The metadata of results and errors.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, acquireWithoutRetries, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** What does not differ from run to run. */
function factsOf({ metadata }) {
  const { durationTotalInMs, durationInHttpInMs, durationInCacheInMs, ...facts } = metadata;
  return facts;
}

function resourceOf(t) {
  return `https://${encodeURIComponent(t.title)}.example`;
}

test("a new token, one from memory, and one from memory that another application brought", async (t) => {
  const endpoint = await startEndpoint(t);
  const tokenEndpoint = endpoint.env.IDENTITY_ENDPOINT;
  const application = new ManagedIdentityApplication();
  const resource = resourceOf(t);
  const fresh = await acquire(endpoint, resource, application);
  t.deepEqual(factsOf(fresh), {
    tokenSource: "IdentityProvider",
    cacheRefreshReason: "NoCachedAccessToken",
    attempts: 1,
    tokenEndpoint,
  });
  const { durationTotalInMs, durationInHttpInMs, durationInCacheInMs } = fresh.metadata;
  t.true(durationInHttpInMs > 0 && durationInHttpInMs <= durationTotalInMs);
  t.is(durationInCacheInMs, 0);
  const hit = { tokenSource: "Cache", cacheRefreshReason: "NotApplicable", attempts: 0, tokenEndpoint };
  for (const by of [application, new ManagedIdentityApplication()]) {
    const cached = await acquire(endpoint, resource, by);
    t.deepEqual(factsOf(cached), hit);
    t.is(cached.metadata.durationTotalInMs, 0);
    t.is(cached.metadata.durationInHttpInMs, 0);
  }
});

test("who does not want the cached token: ForceRefreshOrClaims", async (t) => {
  const endpoint = await startEndpoint(t);
  const resource = resourceOf(t);
  await acquire(endpoint, resource);
  for (const wish of [{ forceRefresh: true }, { claims: "{}" }]) {
    const result = await acquire(endpoint, { resource, ...wish });
    t.is(result.metadata.cacheRefreshReason, "ForceRefreshOrClaims");
    t.is(result.metadata.tokenSource, "IdentityProvider");
  }
});

test("a token that is nearly expired and cannot be replaced: ProactivelyRefreshed, from the cache", async (t) => {
  const endpoint = await startEndpoint(t);
  const resource = resourceOf(t);
  endpoint.next({ expiresIn: 120 });
  await acquireWithoutRetries(endpoint, resource);
  // A token that came just now is not asked for anew within 30 s: it is served as it is.
  const { metadata, fromCache } = await acquireWithoutRetries(endpoint, resource);
  t.true(fromCache);
  t.deepEqual([metadata.cacheRefreshReason, metadata.attempts], ["NotApplicable", 0]);
});

test("attempts count retries, and the time in HTTP is that of all of them", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 503 }, { delay: 50 }]);
  const { metadata } = await acquire(endpoint, resourceOf(t));
  t.is(metadata.attempts, 2);
  // The wait between the tries is no time in HTTP.
  t.true(metadata.durationTotalInMs - metadata.durationInHttpInMs >= 1_000);
  t.true(metadata.durationInHttpInMs >= 50);
});

test("callers who wait for one request are told of the same request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const resource = resourceOf(t);
  const calls = [1, 2, 3].map(() => acquire(endpoint, resource));
  await endpoint.waitForRequests(1);
  release();
  for (const result of await Promise.all(calls)) t.is(result.metadata.attempts, 1);
  t.is(endpoint.requests.length, 1);
});

test("failures carry what successes carry, without a source of a token", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const error = await expectError(t, acquireWithoutRetries(endpoint, resourceOf(t)));
  t.deepEqual(factsOf(error), {
    cacheRefreshReason: "NoCachedAccessToken",
    attempts: 1,
    tokenEndpoint: endpoint.env.IDENTITY_ENDPOINT,
  });
  t.true(error.metadata.durationInHttpInMs > 0);
  const forced = await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: resourceOf(t), forceRefresh: true }),
  );
  t.is(forced.metadata.cacheRefreshReason, "ForceRefreshOrClaims");
});

test("what never came to asking has none", async (t) => {
  const error = await expectError(
    t,
    withEnvironment({}, () => new ManagedIdentityApplication().acquireToken("nonsense")),
  );
  t.is(error.metadata, undefined);
});

test("the endpoint is told without its query, and everything is frozen", async (t) => {
  const endpoint = await startEndpoint(t);
  const env = { ...endpoint.env, IDENTITY_ENDPOINT: `${endpoint.env.IDENTITY_ENDPOINT}?secret=hush` };
  const application = new ManagedIdentityApplication();
  const result = await withEnvironment(env, () => application.acquireToken(resourceOf(t)));
  t.is(result.metadata.tokenEndpoint, endpoint.env.IDENTITY_ENDPOINT);
  t.true(Object.isFrozen(result.metadata));
  const hit = await withEnvironment(env, () => application.acquireToken(resourceOf(t)));
  t.true(Object.isFrozen(hit.metadata));
  endpoint.always({ status: 400 });
  const request = { resource: resourceOf(t), forceRefresh: true };
  const error = await expectError(
    t,
    withEnvironment(env, () => application.acquireToken(request)),
  );
  t.true(Object.isFrozen(error.metadata));
  t.is(error.metadata.tokenEndpoint, endpoint.env.IDENTITY_ENDPOINT);
});
