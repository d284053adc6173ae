// The fields of a request other than the resource: the values that each accepts, and errors that name an invalid one.

import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { acquire, acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { expectError, expectRejection } from "./support/rejection.mjs";

const INVALID = {
  forceRefresh: ["", "true", 0, 1, Number.NaN, {}, [], () => true, Symbol("true"), 1n, Object(true)],
  claims: [0, 5, true, false, {}, ["{}"], () => "{}", Symbol("{}"), 1n, Object("{}"), Buffer.from("{}")],
  timeout: [0, 0.5, -1, 600_001, Number.NaN, Number.POSITIVE_INFINITY, "", "1000", true, {}, [1000], 1n],
  retryIdentityNotFound: [0, 0.5, -1, 600_001, Number.NaN, "", "1000", true, {}, [1000], 1n],
  abortSignal: [
    0,
    false,
    true,
    "",
    "aborted",
    5,
    1n,
    Symbol("aborted"),
    {},
    [],
    () => undefined,
    new AbortController(),
    { aborted: false },
    { aborted: "no", addEventListener: () => undefined, removeEventListener: () => undefined },
    { aborted: false, addEventListener: () => undefined },
    new EventTarget(),
  ],
};
const ABSENT = [undefined, null];

for (const [field, values] of Object.entries(INVALID)) {
  test(`an invalid ${field} is invalid_configuration, without a request`, async (t) => {
    const endpoint = await startEndpoint(t);
    for (const [index, value] of values.entries()) {
      let promise;
      t.notThrows(() => {
        promise = acquireWithoutRetries(endpoint, { resource: RESOURCE, [field]: value });
      });
      const error = await expectError(t, promise, "invalid_configuration", `${field}, value ${index}`);
      t.true(error.message.startsWith(`invalid_configuration: ${field} `), error.message);
      t.false(error.retryable);
    }
    t.deepEqual(endpoint.requests, []);
  });

  test(`${field}: undefined and null mean absent`, async (t) => {
    const endpoint = await startEndpoint(t);
    for (const value of ABSENT) await acquireWithoutRetries(endpoint, { resource: RESOURCE, [field]: value });
    t.is(endpoint.requests.length, 1);
  });
}

/** Entra's response to an assertion for which no federated credential exists. */
function unknownFederation(code) {
  return `{"error":"invalid_client","error_description":"${code}: No matching federated identity record found."}`;
}

/** Responses of each source that say that the identity does not exist, or not yet. */
const NOT_FOUND = [
  ["imds", "an identity", '{"error":"invalid_request","error_description":"Identity not found"}'],
  [
    "app-service",
    "an identity",
    '{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found"}',
  ],
  ...["AADSTS70021", "AADSTS700213", "AADSTS501661"].map((code) => [
    "workload-identity",
    `a federated credential (${code})`,
    unknownFederation(code),
  ]),
];

testWith(test, "extra trust roots")(
  "workload-identity: retryIdentityNotFound does not wait if the issuer differs",
  async (t) => {
    const endpoint = await startEndpoint(t, "workload-identity");
    endpoint.next({ status: 400, body: unknownFederation("AADSTS700211") });
    const error = await expectRejection(
      t,
      acquire(endpoint, { resource: RESOURCE, retryIdentityNotFound: 60_000 }),
    );
    t.is(error.attempts, 1);
  },
);

for (const [source, subject, body] of NOT_FOUND) {
  testWith(test, ...neededBySource(source))(
    `${source}: retryIdentityNotFound waits for ${subject} that was just created`,
    async (t) => {
      const endpoint = await startEndpoint(t, source);
      const resource = `https://${source}.example`;
      endpoint.next({ status: 400, body });
      const withoutOption = await expectRejection(t, acquire(endpoint, resource));
      t.is(withoutOption.statusCode, 400);
      t.is(endpoint.requests.length, 1);
      endpoint.next({ status: 400, body });
      const { metadata } = await acquire(endpoint, { resource, retryIdentityNotFound: 60_000 });
      t.is(metadata.attempts, 2);
      // disableInternalRetries takes precedence.
      endpoint.next({ status: 400, body });
      const request = { resource, forceRefresh: true, retryIdentityNotFound: 60_000 };
      const withoutRetries = await expectRejection(t, acquireWithoutRetries(endpoint, request));
      t.is(withoutRetries.attempts, 1);
      t.is(endpoint.requests.length, 4);
    },
  );
}

test("values at the limits are accepted", async (t) => {
  const endpoint = await startEndpoint(t);
  for (const timeout of [10_000, 10_000.5, 600_000]) {
    await acquireWithoutRetries(endpoint, { resource: RESOURCE, forceRefresh: true, timeout });
  }
  t.is(endpoint.requests.length, 3);
});

test("claims that are an empty string are absent", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquireWithoutRetries(endpoint, { resource: RESOURCE });
  const { fromCache } = await acquireWithoutRetries(endpoint, { resource: RESOURCE, claims: "" });
  t.true(fromCache);
});

test("unknown fields are ignored, including those of msal-node", async (t) => {
  const endpoint = await startEndpoint(t);
  const request = { resource: RESOURCE, scopes: ["x"], authority: "x", correlationId: "x", timeOut: "x" };
  const { scopes, correlationId } = await acquireWithoutRetries(endpoint, request);
  t.deepEqual(scopes, [RESOURCE]);
  t.not(correlationId, "x");
  t.deepEqual(Object.keys(endpoint.requests[0].query), ["api-version", "resource"]);
});

test("frozen and inherited properties of a request are read, and the request is not changed", async (t) => {
  const endpoint = await startEndpoint(t);
  class Request {
    get resource() {
      return "https://storage.azure.com";
    }
  }
  const frozen = Object.freeze({ resource: RESOURCE, forceRefresh: true });
  await acquireWithoutRetries(endpoint, frozen);
  await acquireWithoutRetries(endpoint, new Request());
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.resource),
    [RESOURCE, "https://storage.azure.com"],
  );
  t.deepEqual(frozen, { resource: RESOURCE, forceRefresh: true });
});

test("an error that a getter of the request throws is the reason of the rejection", async (t) => {
  const endpoint = await startEndpoint(t);
  const thrown = new RangeError("getter failed");
  let promise;
  t.notThrows(() => {
    promise = acquireWithoutRetries(endpoint, {
      get resource() {
        throw thrown;
      },
    });
  });
  t.is(await expectRejection(t, promise), thrown);
});

test("an invalid field is rejected although a token is cached and memoized", async (t) => {
  const endpoint = await startEndpoint(t);
  await acquireWithoutRetries(endpoint);
  await expectError(
    t,
    acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout: "soon" }),
    "invalid_configuration",
  );
});
