// What acquireToken resolves with: msal-node's fields, and an object that belongs to its caller.

import { createRequire } from "node:module";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { userAssignedIdentity } = require("managed-identity-native/emulator");

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const HOUR_S = 3_600;
/** Compared one by one. */
const VARYING = ["correlationId", "expiresOn", "extExpiresOn", "refreshOn"];
/** msal-node has these as own properties without a value; here they are absent. */
const NEVER_SET = ["code", "dpopProof"];
const IDENTITIES = [
  {},
  { userAssignedClientId: userAssignedIdentity.clientId },
  { userAssignedObjectId: userAssignedIdentity.objectId },
  { userAssignedResourceId: userAssignedIdentity.resourceId },
];

/** Asks by msal-node, then by us, and reports the fields of both, first of a new and then of a cached token. */
async function askBoth({ native, require, argument, report }) {
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

/** Compares one result of ours with one of msal-node's, for a token that ends at `expiry`, in seconds. */
function compare(t, expiry, [theirs, ours], index) {
  const { correlationId, expiresOn, extExpiresOn, refreshOn, metadata, ...rest } = ours.results[index];
  const their = theirs.results[index];
  const expected = { ...their };
  for (const field of VARYING) delete expected[field];
  for (const field of NEVER_SET) {
    t.deepEqual(expected[field], ["undefined", null]);
    delete expected[field];
  }
  t.deepEqual(rest, expected);
  t.is(metadata[0], "object"); // Ours alone.
  t.regex(correlationId[1], GUID);
  t.regex(their.correlationId[1], GUID);
  // msal-node rounds the present to seconds, which puts its expiry off by one at times.
  t.deepEqual(expiresOn, ["Date", expiry * 1000]);
  t.deepEqual(extExpiresOn, ["Date", expiry * 1000]);
  t.is(their.expiresOn[0], "Date");
  t.true(Math.abs(their.expiresOn[1] - expiry * 1000) <= 1000);
  t.is(their.extExpiresOn[0], "Date");
  t.is(refreshOn[0], their.refreshOn?.[0] ?? "undefined");
  if (refreshOn[0] === "Date") {
    // The half of what was left when the token came.
    const half = (now) => (now + expiry * 1000) / 2;
    t.true(refreshOn[1] >= Math.floor(half(ours.from)) && refreshOn[1] <= Math.ceil(half(ours.to)));
    t.true(their.refreshOn[1] > half(theirs.from) - 1500 && their.refreshOn[1] < half(theirs.to) + 1500);
  }
}

for (const source of ["app-service", "imds"]) {
  test(`${source}: every field is msal-node's, for every kind of identity, new and cached`, async (t) => {
    const endpoint = await startEndpoint(t, source);
    const expiries = [1, 24].map((hours) => Math.floor(Date.now() / 1000) + hours * HOUR_S);
    const cases = IDENTITIES.flatMap((managedIdentityIdParams) =>
      expiries.map((expiresOn) => {
        endpoint.next([{ expiresOn }, { expiresOn }]);
        return { expiresOn, configuration: { managedIdentityIdParams }, resource: `api://${expiresOn}` };
      }),
    );
    const reports = await runProcess(t, askBoth, { argument: cases, env: endpoint.env });
    for (const [index, { expiresOn }] of cases.entries()) {
      compare(t, expiresOn, reports[index], 0);
      compare(t, expiresOn, reports[index], 1);
    }
    t.is(endpoint.requests.length, 2 * cases.length);
  });
}

test("the fields, literally", async (t) => {
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
  const { durationTotalInMs, durationInHttpInMs, ...facts } = metadata;
  t.deepEqual(facts, {
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

test("refreshOn is there for a lifetime over two hours, and undefined up to it", async (t) => {
  for (const [expiresIn, refreshed] of [
    [2 * HOUR_S - 1, false],
    [2 * HOUR_S + 60, true],
    [HOUR_S, false],
    [86_400, true],
  ]) {
    const endpoint = await startEndpoint(t, "imds");
    endpoint.next({ expiresIn });
    const { refreshOn } = await acquire(endpoint);
    t.is(refreshOn !== undefined, refreshed, `${expiresIn}`);
  }
});

test("each call has a correlation id of its own", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const calls = Array.from({ length: 100 }, () => acquire(endpoint, RESOURCE, application));
  const results = await Promise.all(calls);
  results.push(await acquire(endpoint, RESOURCE, application), await acquire(endpoint));
  t.is(new Set(results.map(({ correlationId }) => correlationId)).size, results.length);
  for (const { correlationId } of results) t.regex(correlationId, GUID);
});

test("IMDS is sent the correlation id of the call that asked", async (t) => {
  const endpoint = await startEndpoint(t, "imds");
  const { correlationId } = await acquire(endpoint);
  t.is(endpoint.requests[0].headers["x-ms-client-request-id"], correlationId);
});

/** Changes everything in a result that can be changed. */
function spoil(result) {
  result.expiresOn.setTime(0);
  result.extExpiresOn.setTime(0);
  result.refreshOn.setTime(0);
  result.scopes.push("spoilt");
  result.idTokenClaims.spoilt = true;
  result.accessToken = "spoilt";
  result.fromCache = "spoilt";
  result.added = "spoilt";
}

/** What there is to see in a result. */
function fingerprint({ accessToken, correlationId: _, fromCache: __, metadata: ___, ...rest }) {
  return JSON.stringify({ ...rest, spoilt: accessToken === "spoilt" });
}

test("a caller that changes its result changes nobody else's", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const calls = [1, 2, 3].map(() => acquire(endpoint, RESOURCE, application));
  const results = await Promise.all(calls);
  const before = fingerprint(results[0]);
  t.is(new Set(results).size, 3);
  t.is(new Set(results.flatMap((result) => [result.expiresOn, result.extExpiresOn])).size, 6);
  t.true(results.every(({ metadata }) => Object.isFrozen(metadata)));
  spoil(results[0]);
  t.is(fingerprint(results[1]), before);
  const remembered = await acquire(endpoint, RESOURCE, application);
  t.is(fingerprint(remembered), before);
  spoil(remembered);
  t.is(fingerprint(await acquire(endpoint, RESOURCE, application)), before);
  t.is(fingerprint(await acquire(endpoint)), before);
  t.is(endpoint.requests.length, 1);
});
