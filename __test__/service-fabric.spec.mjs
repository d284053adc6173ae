// Service Fabric: a real TLS server, verified only by the SHA-1 thumbprint of its certificate.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import test from "ava";
import { acquire, acquireWithoutRetries, NO_RETRIES, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

const DAY_MS = 86_400_000;
const CLAIMS = { resource: RESOURCE, claims: '{"access_token":{}}' };

/** Starts an endpoint with this kind of certificate. */
function start(t, certificate, tls) {
  return startEndpoint(t, "service-fabric", { certificate, tls });
}

function acquireWith(env, request = RESOURCE) {
  return withEnvironment(env, () => new ManagedIdentityApplication(NO_RETRIES).acquireToken(request));
}

/** A valid thumbprint that belongs to no certificate. */
function otherThumbprint(thumbprint) {
  return thumbprint.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
}

const CERTIFICATES = {
  "P-256": {},
  "RSA 2048": { key: "RSA-2048" },
  "another host name": { subject: "elsewhere.example", names: ["elsewhere.example"] },
  "no host name": { names: [] },
  expired: { notBefore: new Date(Date.now() - 10 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) },
  "not yet valid": { notBefore: new Date(Date.now() + DAY_MS), notAfter: new Date(Date.now() + 10 * DAY_MS) },
};
const VERSIONS = ["TLSv1.2", "TLSv1.3"];

for (const [name, certificate] of Object.entries(CERTIFICATES)) {
  for (const version of VERSIONS) {
    test(`a certificate with the right thumbprint is accepted: ${name}, ${version}`, async (t) => {
      const endpoint = await start(t, certificate, { minVersion: version, maxVersion: version });
      t.false((await acquire(endpoint)).fromCache);
      const [{ method, query, headers }] = endpoint.requests;
      t.is(method, "GET");
      t.deepEqual(query, { "api-version": "2019-07-01-preview", resource: RESOURCE });
      t.is(headers.secret, endpoint.env.IDENTITY_HEADER);
    });

    test(`a certificate with another thumbprint is rejected before anything is sent: ${name}, ${version}`, async (t) => {
      const endpoint = await start(t, certificate, { minVersion: version, maxVersion: version });
      const env = {
        ...endpoint.env,
        IDENTITY_SERVER_THUMBPRINT: otherThumbprint(endpoint.certificate.thumbprint),
      };
      const error = await expectError(t, acquireWith(env), "invalid_server_thumbprint");
      t.is(error.source, "ServiceFabric");
      t.is(error.endpoint, endpoint.url);
      t.false(error.retryable);
      t.true(error.message.includes("IDENTITY_SERVER_THUMBPRINT"), error.message);
      t.deepEqual(endpoint.requests, []);
    });
  }
}

test("a thumbprint is accepted in any case, with colons and spaces", async (t) => {
  const endpoint = await start(t);
  const { thumbprint } = endpoint.certificate;
  const colons = thumbprint.match(/../g).join(":");
  for (const [index, value] of [
    thumbprint.toLowerCase(),
    colons,
    colons.toLowerCase().replaceAll(":", " "),
    ` ${thumbprint}\t`,
  ].entries()) {
    const env = { ...endpoint.env, IDENTITY_SERVER_THUMBPRINT: value };
    t.false((await acquireWith(env, `api://${index}`)).fromCache);
  }
});

test("a variable that is not a SHA-1 thumbprint is invalid_server_thumbprint, without a connection", async (t) => {
  const endpoint = await start(t);
  const { thumbprint, der } = endpoint.certificate;
  const sha256 = createHash("sha256").update(der).digest("hex");
  for (const value of [
    "x",
    thumbprint.slice(1),
    `${thumbprint}0`,
    `${thumbprint}00`,
    sha256,
    thumbprint.replace(/^./, "G"),
    `0x${thumbprint}`,
    thumbprint.match(/../g).join("-"),
  ]) {
    const env = { ...endpoint.env, IDENTITY_SERVER_THUMBPRINT: value };
    const error = await expectError(t, acquireWith(env), "invalid_server_thumbprint", value);
    t.true(error.message.includes("IDENTITY_SERVER_THUMBPRINT"));
    t.is(error.source, "ServiceFabric");
    t.false("attempts" in error);
  }
  t.deepEqual(endpoint.requests, []);
});

test("a changed thumbprint applies to the next request, also on a connection that is kept alive", async (t) => {
  const endpoint = await start(t);
  const application = new ManagedIdentityApplication(NO_RETRIES);
  const acquireIn = (env, resource) => withEnvironment(env, () => application.acquireToken(resource));
  await acquireIn(endpoint.env, "api://first");
  const env = {
    ...endpoint.env,
    IDENTITY_SERVER_THUMBPRINT: otherThumbprint(endpoint.certificate.thumbprint),
  };
  await expectError(t, acquireIn(env, "api://second"), "invalid_server_thumbprint");
  await acquireIn(endpoint.env, "api://third");
  t.deepEqual(
    endpoint.requests.map(({ query }) => query.resource),
    ["api://first", "api://third"],
  );
});

test("an http endpoint is rejected before anything is sent", async (t) => {
  const endpoint = await startEndpoint(t, "service-fabric", { secure: false });
  const error = await expectError(t, acquireWithoutRetries(endpoint), "identity_endpoint_url_malformed");
  t.true(error.message.includes("https"), error.message);
  t.is(error.source, "ServiceFabric");
  t.deepEqual(endpoint.requests, []);
});

test("a redirect to http is not followed", async (t) => {
  const endpoint = await start(t);
  const other = await startEndpoint(t, "service-fabric", { secure: false });
  endpoint.always({ status: 302, headers: { Location: other.url }, body: "" });
  await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_failed_response");
  t.deepEqual(other.requests, []);
});

test("a TLS 1.1 server is rejected", async (t) => {
  let endpoint;
  try {
    endpoint = await start(
      t,
      {},
      { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
    );
  } catch (error) {
    t.pass(`this OpenSSL does not support TLS 1.1: ${error.code}`);
    return;
  }
  const error = await expectError(t, acquireWithoutRetries(endpoint), "managed_identity_unreachable_network");
  t.false(error.retryable);
  t.true(error.message.includes("TLS"), error.message);
  t.deepEqual(endpoint.requests, []);
});

test("claims send the SHA-256 hash of the cached token, and the new token replaces it", async (t) => {
  const endpoint = await start(t);
  const application = new ManagedIdentityApplication({ clientCapabilities: ["CP1"] });
  const acquireIn = (request) => acquire(endpoint, request, application);
  const first = await acquireIn(RESOURCE);
  const second = await acquireIn(CLAIMS);
  t.deepEqual(Object.entries(endpoint.requests[1].query), [
    ["api-version", "2019-07-01-preview"],
    ["resource", RESOURCE],
    ["token_sha256_to_refresh", createHash("sha256").update(first.accessToken).digest("hex")],
    ["xms_cc", "CP1"],
  ]);
  t.false(second.fromCache);
  const third = await acquireIn(RESOURCE);
  t.true(third.fromCache && third.accessToken === second.accessToken);
});

test("the hash of a token equals the example in docs/wire-protocol.md", async (t) => {
  const endpoint = await start(t);
  endpoint.next({ body: { access_token: "test_token", expires_in: 3600 } });
  await acquire(endpoint);
  await acquire(endpoint, CLAIMS);
  t.is(
    endpoint.requests[1].query.token_sha256_to_refresh,
    "cc0af97287543b65da2c7e1476426021826cab166f1e063ed012b855ff819656",
  );
});

test("claims send no hash without a cached token or with forceRefresh", async (t) => {
  const endpoint = await start(t);
  await acquire(endpoint, CLAIMS);
  await acquire(endpoint, { ...CLAIMS, forceRefresh: true });
  const uncached = await start(t);
  uncached.next({ body: { access_token: "opaque" } });
  await acquire(uncached);
  await acquire(uncached, CLAIMS);
  const requests = [...endpoint.requests, ...uncached.requests];
  t.is(requests.length, 4);
  for (const { rawUrl } of requests) t.false(rawUrl.includes("token_sha256_to_refresh"));
});

test("claims share a request only with claims of the same hash", async (t) => {
  const endpoint = await start(t);
  await acquire(endpoint);
  const release = endpoint.hold();
  const calls = [
    acquire(endpoint, CLAIMS),
    acquire(endpoint, CLAIMS),
    acquire(endpoint, { resource: RESOURCE, forceRefresh: true }),
  ];
  await endpoint.waitForRequests(3);
  release();
  const [first, second, refreshed] = await Promise.all(calls);
  t.true(first.accessToken === second.accessToken && first.accessToken !== refreshed.accessToken);
  t.is(endpoint.requests.length, 3);
});

test("errors of the cluster have its code, description and correlation id", async (t) => {
  const endpoint = await start(t);
  const env = { ...endpoint.env, IDENTITY_HEADER: "wrong" };
  const error = await expectError(
    t,
    withEnvironment(env, () => new ManagedIdentityApplication(NO_RETRIES).acquireToken(RESOURCE)),
    "ManagedIdentityNotFound",
  );
  t.is(error.statusCode, 404);
  t.true(error.message.includes("not found for the specified application host"));
  t.true(error.message.includes(error.correlationId));
});

test("a body over 1 MiB, a broken connection and a timeout have the same errors as with other sources", async (t) => {
  const endpoint = await start(t);
  for (const [fault, code] of [
    [{ body: "x".repeat(2_000_000) }, "managed_identity_failed_response"],
    [{ drop: "before" }, "managed_identity_unreachable_network"],
    [{ reset: true }, "managed_identity_unreachable_network"],
    [{ delay: 60_000 }, "network_unavailable"],
  ]) {
    endpoint.next(fault);
    // The call that gets no response waits for its timeout.
    const timeout = fault.delay === undefined ? 60_000 : 5_000;
    await expectError(t, acquireWithoutRetries(endpoint, { resource: RESOURCE, timeout }), code);
  }
});
