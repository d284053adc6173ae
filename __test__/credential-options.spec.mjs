// The options of `getToken` that Azure SDK clients pass. credential-abort.spec.mjs covers aborting.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import test from "ava";
import { claimsOf, getToken, SCOPE } from "./support/credential.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { tenantId } = require("managed-identity-native/emulator");

const OTHER_TENANT = "11111111-2222-4333-8444-555555555555";
const CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}';
const CAE = { enableCae: true };
/** A timeout that ends before any response that is not meant to arrive. */
const SHORT_MS = 50;

/** Starts an endpoint, and returns it with an application and a function that calls getToken. */
async function start(t, { source, options, configuration } = {}) {
  const endpoint = await startEndpoint(t, source, options);
  const application = new ManagedIdentityApplication(configuration);
  return {
    endpoint,
    application,
    requestToken: (options, scopes = SCOPE) => getToken(endpoint, scopes, options, application),
  };
}

/** The client capabilities of each request. */
function capabilities({ requests }) {
  return requests.map(({ query }) => query.xms_cc);
}

test("enableCae is read once per call", async (t) => {
  const { endpoint, requestToken } = await start(t);
  let reads = 0;
  const options = {
    get enableCae() {
      reads += 1;
      return reads > 1;
    },
  };
  const first = await requestToken(options);
  t.is(reads, 1);
  t.is((await requestToken()).token, first.token);
  t.not((await requestToken(CAE)).token, first.token);
  t.deepEqual(capabilities(endpoint), [undefined, "CP1"]);
});

for (const [name, own, withoutCae, withCae] of [
  ["no capabilities", undefined, undefined, "CP1"],
  ["another capability", ["CP2"], "CP2", "CP2,CP1"],
]) {
  test(`enableCae on an application with ${name} adds CP1 and caches its token separately`, async (t) => {
    const { endpoint, application, requestToken } = await start(t, {
      configuration: { clientCapabilities: own },
    });
    const first = await requestToken();
    const second = await requestToken(CAE);
    t.not(second.token, first.token);
    for (const scopes of [SCOPE, [SCOPE]]) {
      t.is((await requestToken(undefined, scopes)).token, first.token);
      t.is((await requestToken({ enableCae: false }, scopes)).token, first.token);
      t.is((await requestToken(CAE, scopes)).token, second.token);
    }
    t.is((await acquire(endpoint, RESOURCE, application)).accessToken, first.token);
    t.deepEqual(capabilities(endpoint), [withoutCae, withCae]);
  });
}

for (const own of [["CP1"], ["cp1"], ["CP2", "Cp1"]]) {
  test(`enableCae adds nothing to capabilities that include CP1 in any case: ${own}`, async (t) => {
    const { endpoint, requestToken } = await start(t, { configuration: { clientCapabilities: own } });
    const { token } = await requestToken(CAE);
    t.is((await requestToken()).token, token);
    t.deepEqual(capabilities(endpoint), [own.join(",")]);
  });
}

test("an application with CP1 shares tokens with enableCae of an application without", async (t) => {
  const { endpoint, requestToken } = await start(t, { configuration: { clientCapabilities: ["CP1"] } });
  const { token } = await requestToken();
  t.is((await getToken(endpoint, SCOPE, CAE)).token, token);
  t.is(endpoint.requests.length, 1);
});

for (const enableCae of [false, true]) {
  test(`claims replace the rejected token only in its own cache entry; enableCae ${enableCae}`, async (t) => {
    const { endpoint, requestToken } = await start(t);
    const rejected = await requestToken({ enableCae });
    const other = await requestToken({ enableCae: !enableCae });
    const next = await requestToken({ enableCae, claims: CLAIMS });
    t.not(next.token, rejected.token);
    for (const scopes of [SCOPE, [SCOPE]]) {
      t.is((await requestToken({ enableCae }, scopes)).token, next.token);
      t.is((await requestToken({ enableCae: !enableCae }, scopes)).token, other.token);
    }
    t.is((await getToken(endpoint, SCOPE, { enableCae })).token, next.token);
    t.is(endpoint.requests.length, 3);
    t.false(endpoint.requests.some(({ rawUrl }) => /nbf|claims|1700000000/.test(rawUrl)));
  });
}

test("claims always send a request", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const tokens = new Set();
  for (const scopes of [SCOPE, SCOPE, [SCOPE]])
    tokens.add((await requestToken({ claims: CLAIMS }, scopes)).token);
  t.deepEqual([tokens.size, endpoint.requests.length], [3, 3]);
});

test("a hundred concurrent claims challenges send one request", async (t) => {
  const { endpoint, application } = await start(t);
  const { token } = await getToken(endpoint, SCOPE, CAE, application);
  const release = endpoint.hold();
  const calls = Array.from({ length: 100 }, (_, index) =>
    getToken(endpoint, [SCOPE], { ...CAE, claims: CLAIMS }, index % 2 ? application : undefined),
  );
  await endpoint.waitForRequests(2);
  release();
  const tokens = new Set((await Promise.all(calls)).map((result) => result.token));
  t.is(tokens.size, 1);
  t.false(tokens.has(token));
  t.is(endpoint.requests.length, 2);
});

test("claims on Service Fabric send the hash of the rejected token", async (t) => {
  const { endpoint, requestToken } = await start(t, { source: "service-fabric" });
  const { token } = await requestToken(CAE);
  await requestToken({ ...CAE, claims: CLAIMS });
  const [first, second] = endpoint.requests.map(({ query }) => query.token_sha256_to_refresh);
  t.is(first, undefined);
  t.is(second, createHash("sha256").update(token).digest("hex"));
});

test("the tenantId of the identity is accepted in any case", async (t) => {
  const { endpoint, requestToken } = await start(t);
  t.is(claimsOf(await requestToken({ tenantId })).tid, tenantId);
  for (const same of [tenantId.toUpperCase(), tenantId]) {
    await requestToken({ tenantId: same });
    await requestToken({ tenantId: same }, [SCOPE]);
  }
  t.is(endpoint.requests.length, 1);
});

test("tenantId mismatch is rejected for new, memoized and cached tokens", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const wrong = { tenantId: OTHER_TENANT };
  const calls = [() => requestToken(wrong), () => requestToken(wrong), () => requestToken(wrong, [SCOPE])];
  calls.push(async () => {
    await requestToken();
    return requestToken(wrong);
  });
  calls.push(() => getToken(endpoint, SCOPE, wrong));
  for (const call of calls) {
    const error = await expectError(t, call(), "invalid_configuration");
    t.true(error.message.includes(OTHER_TENANT) && error.message.includes(tenantId), error.message);
    t.is(error.name, "ManagedIdentityError");
    t.false(error.retryable);
  }
  t.is(endpoint.requests.length, 1, "the new token is cached for other calls");
});

test("a tenantId that does not name a single tenant is ignored, as by @azure/identity", async (t) => {
  const { endpoint, requestToken } = await start(t);
  for (const none of ["common", "organizations", "consumers", "contoso.onmicrosoft.com", "COMMON"]) {
    t.is(claimsOf(await requestToken({ tenantId: none })).tid, tenantId, none);
    t.is(claimsOf(await requestToken({ tenantId: none }, [SCOPE])).tid, tenantId, none);
  }
  t.is(endpoint.requests.length, 1);
});

test("calls with different tenantIds share a request, and each gets its own result", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const release = endpoint.hold();
  const calls = [requestToken({ tenantId }), requestToken({ tenantId: OTHER_TENANT }), requestToken()];
  await endpoint.waitForRequests(1);
  release();
  const [equal, other, none] = await Promise.allSettled(calls);
  t.is(other.reason?.errorCode, "invalid_configuration");
  t.true(equal.status === "fulfilled" && none.status === "fulfilled");
  t.is(endpoint.requests.length, 1);
});

test("an opaque token is accepted for any tenantId", async (t) => {
  const { endpoint, requestToken } = await start(t);
  endpoint.next({ body: (original) => ({ ...original, access_token: "opaque" }) });
  t.is((await requestToken({ tenantId: OTHER_TENANT })).token, "opaque");
});

test("requestOptions.timeout ends the call, and the message contains its length", async (t) => {
  const { endpoint, requestToken } = await start(t);
  endpoint.hold();
  const error = await expectError(
    t,
    requestToken({ requestOptions: { timeout: SHORT_MS } }),
    "network_unavailable",
  );
  t.true(error.message.includes(`within ${SHORT_MS} ms`), error.message);
  t.is(error.name, "ManagedIdentityError", "a timeout does not prove that there is no managed identity");
});

test("without a requestOptions.timeout, or with 0, the application's totalTimeout applies", async (t) => {
  const system = { totalTimeout: SHORT_MS };
  const { endpoint, requestToken } = await start(t, { configuration: { system } });
  endpoint.hold();
  for (const requestOptions of [{ timeout: 0 }, { timeout: undefined }, {}, undefined, null]) {
    const error = await expectError(t, requestToken({ requestOptions }), "network_unavailable");
    t.true(error.message.includes(`within ${SHORT_MS} ms`), error.message);
  }
});

const INVALID = {
  claims: [0, true, {}, [CLAIMS], () => CLAIMS, 1n],
  tenantId: [0, true, {}, [tenantId], 1n],
  enableCae: [0, 1, "true", {}, []],
  abortSignal: [0, true, "aborted", {}, new AbortController(), { aborted: false }],
  timeout: [-1, 0.5, 600_001, Number.POSITIVE_INFINITY, "1000", {}, true],
};

for (const [name, values] of Object.entries(INVALID)) {
  test(`an invalid ${name} is invalid_configuration, without a request`, async (t) => {
    const { endpoint, requestToken } = await start(t);
    for (const [index, value] of values.entries()) {
      const options = name === "timeout" ? { requestOptions: { timeout: value } } : { [name]: value };
      const error = await expectError(t, requestToken(options), "invalid_configuration", `value ${index}`);
      t.true(error.message.startsWith(`invalid_configuration: ${name} `), error.message);
    }
    t.deepEqual(endpoint.requests, []);
  });
}

test("absent, empty and unknown options have no effect", async (t) => {
  const { endpoint, requestToken } = await start(t);
  const nothing = { abortSignal: null, claims: null, enableCae: null, tenantId: null, requestOptions: null };
  const unknown = { tracingOptions: {}, proofOfPossessionOptions: undefined, forceRefresh: true };
  for (const options of [undefined, null, {}, nothing, unknown, { claims: "" }, { tenantId: "" }]) {
    await requestToken(options);
    await requestToken(options, [SCOPE]);
  }
  t.is(endpoint.requests.length, 1);
});

test("an invalid enableCae is rejected although a token is memoized", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  await getToken(endpoint, SCOPE, undefined, application);
  for (const scopes of [SCOPE, [SCOPE]]) {
    await expectError(
      t,
      getToken(endpoint, scopes, { enableCae: "yes" }, application),
      "invalid_configuration",
    );
  }
});

test("a timeout of NaN, an empty string or false is rejected as by acquireToken", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const timeout of [Number.NaN, "", false]) {
    await expectError(t, getToken(endpoint, SCOPE, { requestOptions: { timeout } }), "invalid_configuration");
  }
});
