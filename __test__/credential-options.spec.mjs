// getToken: what a client of the Azure SDK asks for besides a scope. How a call is aborted is in
// credential-abort.spec.mjs.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import test from "ava";
import { claimsOf, getToken, SCOPE } from "./support/credential.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { refusal } from "./support/refusal.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { tenantId } = require("managed-identity-native/emulator");

const OTHER_TENANT = "11111111-2222-4333-8444-555555555555";
const CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}';
const CAE = { enableCae: true };
/** Over before anything can answer that is not to. */
const SHORT = 50;

/** An endpoint, and a way to ask it by one application. */
async function start(t, { source, options, configuration } = {}) {
  const endpoint = await startEndpoint(t, source, options);
  const application = new ManagedIdentityApplication(configuration);
  return {
    endpoint,
    application,
    ask: (options, scopes = SCOPE) => getToken(endpoint, scopes, options, application),
  };
}

/** What each request said of the client's capabilities. */
function capabilities({ requests }) {
  return requests.map(({ query }) => query.xms_cc);
}

test("enableCae is read once: a token is kept where it was asked for", async (t) => {
  const { endpoint, ask } = await start(t);
  let reads = 0;
  const options = {
    get enableCae() {
      reads += 1;
      return reads > 1;
    },
  };
  const first = await ask(options);
  t.is(reads, 1);
  t.is((await ask()).token, first.token);
  t.not((await ask(CAE)).token, first.token);
  t.deepEqual(capabilities(endpoint), [undefined, "CP1"]);
});

for (const [name, own, plain, cae] of [
  ["none of its own", undefined, undefined, "CP1"],
  ["another", ["CP2"], "CP2", "CP2,CP1"],
]) {
  test(`enableCae, with capabilities ${name}: CP1 goes along, and the token is kept apart`, async (t) => {
    const { endpoint, application, ask } = await start(t, { configuration: { clientCapabilities: own } });
    const first = await ask();
    const second = await ask(CAE);
    t.not(second.token, first.token);
    for (const scopes of [SCOPE, [SCOPE]]) {
      t.is((await ask(undefined, scopes)).token, first.token);
      t.is((await ask({ enableCae: false }, scopes)).token, first.token);
      t.is((await ask(CAE, scopes)).token, second.token);
    }
    t.is((await acquire(endpoint, RESOURCE, application)).accessToken, first.token);
    t.deepEqual(capabilities(endpoint), [plain, cae]);
  });
}

for (const own of [["CP1"], ["cp1"], ["CP2", "Cp1"]]) {
  test(`enableCae adds nothing to capabilities that say so: ${own}`, async (t) => {
    const { endpoint, ask } = await start(t, { configuration: { clientCapabilities: own } });
    const { token } = await ask(CAE);
    t.is((await ask()).token, token);
    t.deepEqual(capabilities(endpoint), [own.join(",")]);
  });
}

test("an application with CP1 and enableCae of one without share a token", async (t) => {
  const { endpoint, ask } = await start(t, { configuration: { clientCapabilities: ["CP1"] } });
  const { token } = await ask();
  t.is((await getToken(endpoint, SCOPE, CAE)).token, token);
  t.is(endpoint.requests.length, 1);
});

for (const enableCae of [false, true]) {
  test(`claims get another token, which replaces the refused one; enableCae ${enableCae}`, async (t) => {
    const { endpoint, ask } = await start(t);
    const refused = await ask({ enableCae });
    const bystander = await ask({ enableCae: !enableCae });
    const next = await ask({ enableCae, claims: CLAIMS });
    t.not(next.token, refused.token);
    for (const scopes of [SCOPE, [SCOPE]]) {
      t.is((await ask({ enableCae }, scopes)).token, next.token);
      t.is((await ask({ enableCae: !enableCae }, scopes)).token, bystander.token);
    }
    t.is((await getToken(endpoint, SCOPE, { enableCae })).token, next.token);
    t.is(endpoint.requests.length, 3);
    t.false(endpoint.requests.some(({ rawUrl }) => /nbf|claims|1700000000/.test(rawUrl)));
  });
}

test("claims are answered from no memory, each time", async (t) => {
  const { endpoint, ask } = await start(t);
  const tokens = new Set();
  for (const scopes of [SCOPE, SCOPE, [SCOPE]]) tokens.add((await ask({ claims: CLAIMS }, scopes)).token);
  t.deepEqual([tokens.size, endpoint.requests.length], [3, 3]);
});

test("a hundred refusals of one moment make one request", async (t) => {
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

test("claims on Service Fabric: the hash of the refused token goes along", async (t) => {
  const { endpoint, ask } = await start(t, { source: "service-fabric" });
  const { token } = await ask(CAE);
  await ask({ ...CAE, claims: CLAIMS });
  const [first, second] = endpoint.requests.map(({ query }) => query.token_sha256_to_refresh);
  t.is(first, undefined);
  t.is(second, createHash("sha256").update(token).digest("hex"));
});

test("tenantId of the identity, in any case, is taken", async (t) => {
  const { endpoint, ask } = await start(t);
  t.is(claimsOf(await ask({ tenantId })).tid, tenantId);
  for (const same of [tenantId.toUpperCase(), tenantId]) {
    await ask({ tenantId: same });
    await ask({ tenantId: same }, [SCOPE]);
  }
  t.is(endpoint.requests.length, 1);
});

test("another tenantId is refused, by a new token, the memory's and the cache's; both are named", async (t) => {
  const { endpoint, ask } = await start(t);
  const wrong = { tenantId: OTHER_TENANT };
  const calls = [() => ask(wrong), () => ask(wrong), () => ask(wrong, [SCOPE])];
  calls.push(async () => {
    await ask();
    return ask(wrong);
  });
  calls.push(() => getToken(endpoint, SCOPE, wrong));
  for (const call of calls) {
    const error = await refusal(t, call(), "invalid_configuration");
    t.true(error.message.includes(OTHER_TENANT) && error.message.includes(tenantId), error.message);
    t.is(error.name, "ManagedIdentityError");
    t.false(error.retryable);
  }
  t.is(endpoint.requests.length, 1, "the token that came is good for others");
});

test("a tenantId that names no single tenant is ignored, as @azure/identity ignores it", async (t) => {
  const { endpoint, ask } = await start(t);
  for (const none of ["common", "organizations", "consumers", "contoso.onmicrosoft.com", "COMMON"]) {
    t.is(claimsOf(await ask({ tenantId: none })).tid, tenantId, none);
    t.is(claimsOf(await ask({ tenantId: none }, [SCOPE])).tid, tenantId, none);
  }
  t.is(endpoint.requests.length, 1);
});

test("callers with different tenantIds who share a request each get their own answer", async (t) => {
  const { endpoint, ask } = await start(t);
  const release = endpoint.hold();
  const calls = [ask({ tenantId }), ask({ tenantId: OTHER_TENANT }), ask()];
  await endpoint.waitForRequests(1);
  release();
  const [equal, other, none] = await Promise.allSettled(calls);
  t.is(other.reason?.errorCode, "invalid_configuration");
  t.true(equal.status === "fulfilled" && none.status === "fulfilled");
  t.is(endpoint.requests.length, 1);
});

test("the tenant of a token that is no JWT cannot be told: it is taken", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.next({ body: (answer) => ({ ...answer, access_token: "opaque" }) });
  t.is((await ask({ tenantId: OTHER_TENANT })).token, "opaque");
});

test("requestOptions.timeout ends the call, and is named by its length", async (t) => {
  const { endpoint, ask } = await start(t);
  endpoint.hold();
  const error = await refusal(t, ask({ requestOptions: { timeout: SHORT } }), "network_unavailable");
  t.true(error.message.includes(`within ${SHORT} ms`), error.message);
  t.is(error.name, "ManagedIdentityError", "that nobody is there is not known");
});

test("requestOptions.timeout of 0, or none, leaves the application's own", async (t) => {
  const system = { totalTimeout: SHORT };
  const { endpoint, ask } = await start(t, { configuration: { system } });
  endpoint.hold();
  for (const requestOptions of [{ timeout: 0 }, { timeout: undefined }, {}, undefined, null]) {
    const error = await refusal(t, ask({ requestOptions }), "network_unavailable");
    t.true(error.message.includes(`within ${SHORT} ms`), error.message);
  }
});

const WRONG = {
  claims: [0, true, {}, [CLAIMS], () => CLAIMS, 1n],
  tenantId: [0, true, {}, [tenantId], 1n],
  enableCae: [0, 1, "true", {}, []],
  abortSignal: [0, true, "aborted", {}, new AbortController(), { aborted: false }],
  timeout: [-1, 0.5, 600_001, Number.POSITIVE_INFINITY, "1000", {}, true],
};

for (const [name, values] of Object.entries(WRONG)) {
  test(`${name} of a wrong type or value is invalid_configuration, before any request`, async (t) => {
    const { endpoint, ask } = await start(t);
    for (const [index, value] of values.entries()) {
      const options = name === "timeout" ? { requestOptions: { timeout: value } } : { [name]: value };
      const error = await refusal(t, ask(options), "invalid_configuration", `value ${index}`);
      t.true(error.message.startsWith(`invalid_configuration: ${name} `), error.message);
    }
    t.deepEqual(endpoint.requests, []);
  });
}

test("options that are absent, empty or unknown ask for nothing", async (t) => {
  const { endpoint, ask } = await start(t);
  const nothing = { abortSignal: null, claims: null, enableCae: null, tenantId: null, requestOptions: null };
  const unknown = { tracingOptions: {}, proofOfPossessionOptions: undefined, forceRefresh: true };
  for (const options of [undefined, null, {}, nothing, unknown, { claims: "" }, { tenantId: "" }]) {
    await ask(options);
    await ask(options, [SCOPE]);
  }
  t.is(endpoint.requests.length, 1);
});

test("enableCae of a wrong type is refused although a token is remembered", async (t) => {
  const endpoint = await startEndpoint(t);
  const application = new ManagedIdentityApplication();
  await getToken(endpoint, SCOPE, undefined, application);
  for (const scopes of [SCOPE, [SCOPE]]) {
    await refusal(t, getToken(endpoint, scopes, { enableCae: "yes" }, application), "invalid_configuration");
  }
});

test("a timeout of NaN, an empty string or false is refused as by acquireToken", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const timeout of [Number.NaN, "", false]) {
    await refusal(t, getToken(endpoint, SCOPE, { requestOptions: { timeout } }), "invalid_configuration");
  }
});
