// The metadata of results and errors.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, acquireWithoutRetries, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** The fields that do not vary between runs. */
function constantFields({ metadata }) {
  const { durationTotalInMs, durationInHttpInMs, durationInCacheInMs, ...constant } = metadata;
  return constant;
}

function uniqueResource(t) {
  return `https://${encodeURIComponent(t.title)}.example`;
}

test("metadata of a new token, a memoized token and a token cached by another application", async (t) => {
  const endpoint = await startEndpoint(t);
  const tokenEndpoint = endpoint.env.IDENTITY_ENDPOINT;
  const application = new ManagedIdentityApplication();
  const resource = uniqueResource(t);
  const fresh = await acquire(endpoint, resource, application);
  t.deepEqual(constantFields(fresh), {
    tokenSource: "IdentityProvider",
    cacheRefreshReason: "NoCachedAccessToken",
    attempts: 1,
    tokenEndpoint,
  });
  const { durationTotalInMs, durationInHttpInMs, durationInCacheInMs } = fresh.metadata;
  t.true(durationInHttpInMs > 0 && durationInHttpInMs <= durationTotalInMs);
  t.is(durationInCacheInMs, 0);
  const hit = { tokenSource: "Cache", cacheRefreshReason: "NotApplicable", attempts: 0, tokenEndpoint };
  for (const using of [application, new ManagedIdentityApplication()]) {
    const cached = await acquire(endpoint, resource, using);
    t.deepEqual(constantFields(cached), hit);
    t.is(cached.metadata.durationTotalInMs, 0);
    t.is(cached.metadata.durationInHttpInMs, 0);
  }
});

test("forceRefresh and claims: cacheRefreshReason is ForceRefreshOrClaims", async (t) => {
  const endpoint = await startEndpoint(t);
  const resource = uniqueResource(t);
  await acquire(endpoint, resource);
  for (const option of [{ forceRefresh: true }, { claims: "{}" }]) {
    const result = await acquire(endpoint, { resource, ...option });
    t.is(result.metadata.cacheRefreshReason, "ForceRefreshOrClaims");
    t.is(result.metadata.tokenSource, "IdentityProvider");
  }
});

test("a token near expiry that was just issued is returned as a cache hit", async (t) => {
  const endpoint = await startEndpoint(t);
  const resource = uniqueResource(t);
  endpoint.next({ expiresIn: 120 });
  await acquireWithoutRetries(endpoint, resource);
  // A token is not requested again within 30 s after it arrived.
  const { metadata, fromCache } = await acquireWithoutRetries(endpoint, resource);
  t.true(fromCache);
  t.deepEqual([metadata.cacheRefreshReason, metadata.attempts], ["NotApplicable", 0]);
});

test("attempts counts retries, and durationInHttpInMs includes all of them", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.next([{ status: 503 }, { delay: 50 }]);
  const { metadata } = await acquire(endpoint, uniqueResource(t));
  t.is(metadata.attempts, 2);
  // The delay before a retry is not part of durationInHttpInMs.
  t.true(metadata.durationTotalInMs - metadata.durationInHttpInMs >= 1_000);
  t.true(metadata.durationInHttpInMs >= 50);
});

test("callers that share a request have the same attempts", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const resource = uniqueResource(t);
  const calls = [1, 2, 3].map(() => acquire(endpoint, resource));
  await endpoint.waitForRequests(1);
  release();
  for (const result of await Promise.all(calls)) t.is(result.metadata.attempts, 1);
  t.is(endpoint.requests.length, 1);
});

test("errors have the metadata of results, except the source of the token", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 400 });
  const error = await expectError(t, acquireWithoutRetries(endpoint, uniqueResource(t)));
  t.deepEqual(constantFields(error), {
    cacheRefreshReason: "NoCachedAccessToken",
    attempts: 1,
    tokenEndpoint: endpoint.env.IDENTITY_ENDPOINT,
  });
  t.true(error.metadata.durationInHttpInMs > 0);
  const forced = await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: uniqueResource(t), forceRefresh: true }),
  );
  t.is(forced.metadata.cacheRefreshReason, "ForceRefreshOrClaims");
});

test("an error before the lookup has no metadata", async (t) => {
  const error = await expectError(
    t,
    withEnvironment({}, () => new ManagedIdentityApplication().acquireToken("nonsense")),
  );
  t.is(error.metadata, undefined);
});

test("tokenEndpoint has no query, and metadata is frozen", async (t) => {
  const endpoint = await startEndpoint(t);
  const env = { ...endpoint.env, IDENTITY_ENDPOINT: `${endpoint.env.IDENTITY_ENDPOINT}?secret=hush` };
  const application = new ManagedIdentityApplication();
  const result = await withEnvironment(env, () => application.acquireToken(uniqueResource(t)));
  t.is(result.metadata.tokenEndpoint, endpoint.env.IDENTITY_ENDPOINT);
  t.true(Object.isFrozen(result.metadata));
  const hit = await withEnvironment(env, () => application.acquireToken(uniqueResource(t)));
  t.true(Object.isFrozen(hit.metadata));
  endpoint.always({ status: 400 });
  const request = { resource: uniqueResource(t), forceRefresh: true };
  const error = await expectError(
    t,
    withEnvironment(env, () => application.acquireToken(request)),
  );
  t.true(Object.isFrozen(error.metadata));
  t.is(error.metadata.tokenEndpoint, endpoint.env.IDENTITY_ENDPOINT);
});
