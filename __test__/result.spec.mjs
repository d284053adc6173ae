// The result of acquireToken: the fields of msal-node, in an object that is not shared.

import { createRequire } from "node:module";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const HOUR_S = 3_600;
/** Compared separately. */
const VARYING = ["correlationId", "expiresOn", "extExpiresOn", "refreshOn"];
/** In msal-node these are own properties without a value; here they are absent. */
const NEVER_SET = ["code", "dpopProof"];
const IDENTITIES = [
  {},
  { userAssignedClientId: userAssignedIdentity.clientId },
  { userAssignedObjectId: userAssignedIdentity.objectId },
  { userAssignedResourceId: userAssignedIdentity.resourceId },
];

/** Acquires tokens with msal-node and with this package, and reports the fields of a new and of a cached token. */
async function acquireWithBoth({ native, require, argument, report }) {
  const msal = require("@azure/msal-node");
  const describe = (result) =>
    Object.fromEntries(
      Object.entries(result).map(([field, value]) => {
        if (field === "accessToken") return [field, [typeof value, value.length]];
        if (value instanceof Date) return [field, ["Date", value.getTime()]];
        return [field, [value === undefined ? "undefined" : typeof value, value ?? null]];
      }),
    );
  for (const { configuration, resource } of argument) {
    const reported = [];
    for (const { ManagedIdentityApplication } of [msal, native]) {
      const application = new ManagedIdentityApplication(configuration);
      const from = Date.now();
      const results = [];
      for (const _ of [1, 2]) results.push(describe(await application.acquireToken({ resource })));
      reported.push({ from, to: Date.now(), results });
    }
    report(reported);
  }
}

/** Compares a result with that of msal-node, for a token that expires at `expiry` (in seconds). */
function compare(t, expiry, [reference, actual], index) {
  const { correlationId, expiresOn, extExpiresOn, refreshOn, metadata, ...rest } = actual.results[index];
  const referenceResult = reference.results[index];
  const expected = { ...referenceResult };
  for (const field of VARYING) delete expected[field];
  for (const field of NEVER_SET) {
    t.deepEqual(expected[field], ["undefined", null]);
    delete expected[field];
  }
  t.deepEqual(rest, expected);
  t.is(metadata[0], "object"); // A field of this package only.
  t.regex(correlationId[1], GUID);
  t.regex(referenceResult.correlationId[1], GUID);
  // msal-node adds the seconds that remain when the response arrives to the time of the request, both rounded.
  const duration = reference.to - reference.from;
  t.deepEqual(expiresOn, ["Date", expiry * 1000]);
  t.deepEqual(extExpiresOn, ["Date", expiry * 1000]);
  t.is(referenceResult.expiresOn[0], "Date");
  t.true(Math.abs(referenceResult.expiresOn[1] - expiry * 1000) <= duration + 1000);
  t.is(referenceResult.extExpiresOn[0], "Date");
  t.is(refreshOn[0], referenceResult.refreshOn?.[0] ?? "undefined");
  if (refreshOn[0] === "Date") {
    // Half of the lifetime that remained when the token arrived.
    const half = (now) => (now + expiry * 1000) / 2;
    t.true(refreshOn[1] >= Math.floor(half(actual.from)) && refreshOn[1] <= Math.ceil(half(actual.to)));
    t.true(
      referenceResult.refreshOn[1] > half(reference.from) - duration - 1500 &&
        referenceResult.refreshOn[1] < half(reference.to) + 1500,
    );
  }
}

for (const source of ["app-service", "imds"]) {
  test(`${source}: all fields equal those of msal-node, for every kind of identity, new and cached`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const expiries = [1, 24].map((hours) => Math.floor(Date.now() / 1000) + hours * HOUR_S);
    const CASES = IDENTITIES.flatMap((managedIdentityIdParams) =>
      expiries.map((expiresOn) => {
        endpoint.next([{ expiresOn }, { expiresOn }]);
        return { expiresOn, configuration: { managedIdentityIdParams }, resource: `api://${expiresOn}` };
      }),
    );
    const reports = await runProcess(t, acquireWithBoth, { argument: CASES, env: endpoint.env });
    for (const [index, { expiresOn }] of CASES.entries()) {
      compare(t, expiresOn, reports[index], 0);
      compare(t, expiresOn, reports[index], 1);
    }
    t.is(endpoint.requests.length, 2 * CASES.length);
  });
}

test("the fields of a result and their values", async (t) => {
  const endpoint = await startEndpoint(t);
  const { accessToken, correlationId, expiresOn, extExpiresOn, refreshOn, metadata, ...rest } =
    await acquire(endpoint);
  t.deepEqual(rest, {
    authority: "https://login.microsoftonline.com/managed_identity/",
    uniqueId: "",
    tenantId: "",
    scopes: [RESOURCE],
    account: null,
    idToken: "",
    idTokenClaims: {},
    fromCache: false,
    requestId: "",
    familyId: "",
    tokenType: "Bearer",
    state: "",
    cloudGraphHostName: "",
    msGraphHost: "",
    fromPlatformBroker: false,
  });
  const { durationTotalInMs, durationInHttpInMs, ...constant } = metadata;
  t.deepEqual(constant, {
    tokenSource: "IdentityProvider",
    cacheRefreshReason: "NoCachedAccessToken",
    durationInCacheInMs: 0,
    attempts: 1,
    tokenEndpoint: endpoint.env.IDENTITY_ENDPOINT,
  });
  t.true(durationInHttpInMs > 0 && durationInHttpInMs <= durationTotalInMs);
  t.is(accessToken.split(".").length, 3);
  t.regex(correlationId, GUID);
  for (const date of [expiresOn, extExpiresOn, refreshOn]) t.true(date instanceof Date);
});

test("refreshOn is set for lifetimes over two hours only", async (t) => {
  for (const [expiresIn, hasRefresh] of [
    [2 * HOUR_S - 1, false],
    [2 * HOUR_S + 60, true],
    [HOUR_S, false],
    [86_400, true],
  ]) {
    const endpoint = await startEndpoint(t, "imds");
    endpoint.next({ expiresIn });
    const { refreshOn } = await acquire(endpoint);
    t.is(refreshOn !== undefined, hasRefresh, `${expiresIn}`);
  }
});

test("each call has its own correlation id", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const calls = Array.from({ length: 100 }, () => acquire(endpoint, RESOURCE, application));
  const results = await Promise.all(calls);
  results.push(await acquire(endpoint, RESOURCE, application), await acquire(endpoint));
  t.is(new Set(results.map(({ correlationId }) => correlationId)).size, results.length);
  for (const { correlationId } of results) t.regex(correlationId, GUID);
});

test("IMDS receives the correlation id of the call", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const { correlationId } = await acquire(endpoint);
  t.is(endpoint.requests[0].headers["x-ms-client-request-id"], correlationId);
});

/** Changes everything that can be changed in a result. */
function mutate(result) {
  result.expiresOn.setTime(0);
  result.extExpiresOn.setTime(0);
  result.refreshOn.setTime(0);
  result.scopes.push("changed");
  result.idTokenClaims.changed = true;
  result.accessToken = "changed";
  result.fromCache = "changed";
  result.added = "changed";
}

/** A summary of a result. */
function fingerprint({ accessToken, correlationId: _, fromCache: __, metadata: ___, ...rest }) {
  return JSON.stringify({ ...rest, isChanged: accessToken === "changed" });
}

test("changing a result does not affect other results", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const calls = [1, 2, 3].map(() => acquire(endpoint, RESOURCE, application));
  const results = await Promise.all(calls);
  const before = fingerprint(results[0]);
  t.is(new Set(results).size, 3);
  t.is(new Set(results.flatMap((result) => [result.expiresOn, result.extExpiresOn])).size, 6);
  t.true(results.every(({ metadata }) => Object.isFrozen(metadata)));
  mutate(results[0]);
  t.is(fingerprint(results[1]), before);
  const memoized = await acquire(endpoint, RESOURCE, application);
  t.is(fingerprint(memoized), before);
  mutate(memoized);
  t.is(fingerprint(await acquire(endpoint, RESOURCE, application)), before);
  t.is(fingerprint(await acquire(endpoint)), before);
  t.is(endpoint.requests.length, 1);
});
