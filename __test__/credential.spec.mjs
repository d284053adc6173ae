// `getToken`: scopes, results, and what it shares with acquireToken. credential-options.spec.mjs covers its options.
//
// The tests are serial because they clear the cache, which belongs to the process.

import { createRequire } from "node:module";
import { isTokenCredential } from "@azure/core-auth";
import test from "ava";
import { claimsOf, getToken, SCOPE } from "./support/credential.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withFrozenClock } from "./support/frozen-clock.mjs";
import { expectError, expectRejection } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

const HALF = 0.5;

/** The resources of an endpoint's requests. */
function requestedResources({ requests }) {
  return requests.map(({ query }) => query.resource);
}

test("an application is a TokenCredential of @azure/core-auth", (t) => {
  t.true(isTokenCredential(new ManagedIdentityApplication()));
});

test.serial("a scope and an array of one scope, with or without /.default, share a token", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const tokens = [];
  for (const scopes of [SCOPE, [SCOPE], RESOURCE, [RESOURCE], SCOPE, [SCOPE]]) {
    tokens.push((await getToken(endpoint, scopes, undefined, application)).token);
  }
  t.is(new Set(tokens).size, 1);
  t.deepEqual(requestedResources(endpoint), [RESOURCE]);
});

test.serial("the scope is sent without /.default and otherwise unchanged", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const scope of [`${RESOURCE}//.default`, "api://app/.default", `${RESOURCE}/.DEFAULT`, "urn:a:b"]) {
    await getToken(endpoint, [scope]);
  }
  t.deepEqual(requestedResources(endpoint), [`${RESOURCE}/`, "api://app", `${RESOURCE}/.DEFAULT`, "urn:a:b"]);
});

test.serial("no scope and several scopes are an error that names their number", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  await getToken(endpoint, SCOPE, undefined, application);
  for (const scopes of [[], [SCOPE, SCOPE], [SCOPE, "https://storage.azure.com/.default", SCOPE]]) {
    const error = await expectError(
      t,
      getToken(endpoint, scopes, undefined, application),
      "exactly_one_scope_expected",
    );
    t.true(error.message.includes(`scopes has ${scopes.length}`), error.message);
    t.is(error.name, "ManagedIdentityError");
    t.false(error.retryable);
  }
  t.is(endpoint.requests.length, 1, "the request of the valid scope");
});

test.serial(
  "an invalid scope rejects with invalid_resource, without a request and without throwing",
  async (t) => {
    const endpoint = await startEndpoint(t);
    const invalid = [
      undefined,
      null,
      "",
      "/.default",
      "vault",
      "a b",
      5,
      true,
      {},
      1n,
      Symbol("x"),
      () => SCOPE,
    ];
    const wrapped = invalid.map((scope) => [scope]);
    const lists = [[[SCOPE]], new Set([SCOPE]), { 0: SCOPE, length: 1 }, Object(SCOPE)];
    for (const [index, scopes] of [...invalid, ...wrapped, ...lists].entries()) {
      let promise;
      t.notThrows(() => {
        promise = getToken(endpoint, scopes);
      });
      const error = await expectError(t, promise, "invalid_resource", `value ${index}`);
      t.is(error.name, "ManagedIdentityError");
    }
    t.deepEqual(endpoint.requests, []);
  },
);

test.serial("an error that a getter of the options throws is the reason of the rejection", async (t) => {
  const endpoint = await startEndpoint(t);
  const failure = new RangeError("getter failed");
  const options = {
    get claims() {
      throw failure;
    },
  };
  let promise;
  t.notThrows(() => {
    promise = getToken(endpoint, SCOPE, options);
  });
  t.is(await expectRejection(t, promise), failure);
});

test.serial(
  "a result has the token, its expiry and its refresh time in milliseconds, and its type",
  async (t) => {
    const endpoint = await startEndpoint(t);
    const before = Date.now();
    const result = await getToken(endpoint, SCOPE);
    const after = Date.now();
    t.deepEqual(Object.keys(result), ["token", "expiresOnTimestamp", "refreshAfterTimestamp", "tokenType"]);
    const { aud, exp } = claimsOf(result);
    t.is(aud, RESOURCE);
    t.is(result.expiresOnTimestamp, exp * 1_000);
    t.is(result.tokenType, "Bearer");
    // Half of the lifetime, which begins when the token arrives.
    t.true(result.refreshAfterTimestamp >= before + (exp * 1_000 - before) * HALF - 1);
    t.true(result.refreshAfterTimestamp <= after + (exp * 1_000 - after) * HALF + 1);
    const { refreshOn } = await acquire(endpoint);
    t.is(result.refreshAfterTimestamp, refreshOn.getTime());
  },
);

test.serial("refreshAfterTimestamp is undefined for a lifetime of up to two hours", async (t) => {
  const endpoint = await startEndpoint(t, "app-service", { lifetimeSeconds: 7_200 });
  const application = new ManagedIdentityApplication();
  for (const scopes of [SCOPE, SCOPE, [SCOPE]]) {
    const result = await getToken(endpoint, scopes, undefined, application);
    t.is(result.refreshAfterTimestamp, undefined);
    t.is(result.expiresOnTimestamp, claimsOf(result).exp * 1_000);
  }
});

test.serial("a token without a readable expiry expires immediately and is not cached", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  endpoint.always({ body: { access_token: "opaque" } });
  for (const scopes of [SCOPE, SCOPE, [SCOPE]]) {
    const before = Date.now();
    const { token, expiresOnTimestamp } = await getToken(endpoint, scopes, undefined, application);
    t.is(token, "opaque");
    t.true(before <= expiresOnTimestamp && expiresOnTimestamp <= Date.now());
  }
  t.is(endpoint.requests.length, 3);
});

test.serial("results are not shared between callers", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const seen = new Set();
  let token;
  for (const scopes of [SCOPE, SCOPE, [SCOPE], [SCOPE]]) {
    const result = await getToken(endpoint, scopes, undefined, application);
    token ??= result.token;
    t.is(result.token, token);
    t.is(result.tokenType, "Bearer");
    t.false(seen.has(result));
    seen.add(result);
    for (const key of Object.keys(result)) result[key] = "changed";
  }
  const shared = await Promise.all([1, 2].map(() => getToken(endpoint, SCOPE, undefined, application)));
  t.not(shared[0], shared[1]);
});

test.serial(
  "getToken and acquireToken share tokens, within an application and between applications",
  async (t) => {
    const endpoint = await startEndpoint(t);
    const application = new ManagedIdentityApplication();
    const { accessToken } = await acquire(endpoint, RESOURCE, application);
    t.is((await getToken(endpoint, SCOPE, undefined, application)).token, accessToken);
    t.is((await getToken(endpoint, SCOPE)).token, accessToken);

    const other = "https://storage.azure.com";
    const { token } = await getToken(endpoint, `${other}/.default`, undefined, application);
    for (const using of [application, undefined]) {
      const result = await acquire(endpoint, other, using);
      t.is(result.accessToken, token);
      t.true(result.fromCache);
    }
    t.deepEqual(requestedResources(endpoint), [RESOURCE, other]);
  },
);

test.serial("clearCache and forceRefresh take effect in getToken's memory", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  const callGetToken = async (scopes) => (await getToken(endpoint, scopes, undefined, application)).token;
  const first = await callGetToken(SCOPE);
  ManagedIdentityApplication.clearCache();
  const second = await callGetToken(SCOPE);
  t.not(second, first);
  const third = (await acquire(endpoint, { resource: RESOURCE, forceRefresh: true }, application))
    .accessToken;
  t.is(await callGetToken(SCOPE), third);
  t.is(await callGetToken([SCOPE]), third);
  t.is(endpoint.requests.length, 3);
});

test.serial("a thousand concurrent calls of getToken and acquireToken send one request", async (t) => {
  const endpoint = await startEndpoint(t);
  const release = endpoint.hold();
  const application = new ManagedIdentityApplication();
  const calls = withFrozenClock(() =>
    Array.from({ length: 1_000 }, (_, index) => {
      if (index % 3 === 2) return acquire(endpoint, RESOURCE, application);
      const scopes = index % 3 === 0 ? SCOPE : [SCOPE];
      return getToken(endpoint, scopes, { abortSignal: new AbortController().signal }, application);
    }),
  );
  await endpoint.waitForRequests(1);
  release();
  const tokens = (await Promise.all(calls)).map(({ token, accessToken }) => token ?? accessToken);
  t.is(new Set(tokens).size, 1);
  t.is(endpoint.requests.length, 1);
});

test.serial("callers that share a failure get separate errors of the class of their method", async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.always({ status: 404 });
  const application = new ManagedIdentityApplication({ system: { disableInternalRetries: true } });
  const CREDENTIAL = "CredentialUnavailableError";
  const PLAIN = "ManagedIdentityError";
  const credential = (scopes) => [CREDENTIAL, getToken(endpoint, scopes, undefined, application)];
  const plain = () => [PLAIN, acquire(endpoint, RESOURCE, application)];
  for (const [count, start] of [
    [1, () => [credential(RESOURCE), credential([RESOURCE]), plain(), plain(), credential(SCOPE)]],
    [2, () => [plain(), plain(), credential(RESOURCE), credential([RESOURCE]), credential(SCOPE)]],
  ]) {
    const calls = withFrozenClock(start);
    const errors = await Promise.all(calls.map(([, call]) => expectError(t, call)));
    t.deepEqual(
      errors.map(({ name }) => name),
      calls.map(([name]) => name),
    );
    t.is(new Set(errors).size, calls.length);
    t.is(endpoint.requests.length, count);
  }
});
