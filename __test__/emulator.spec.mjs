// The emulator's public API: options, start and close, the request log, holds, faults, tokens, TLS. The responses of
// each source are tested in emulator-sources.spec.mjs.

import { execFile } from "node:child_process";
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import net from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { ownAddress } from "./support/own-address.mjs";

const require = createRequire(import.meta.url);
const emulator = require("managed-identity-native/emulator");
const { startEmulator } = emulator;
const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("..", import.meta.url));

const RESOURCE = "https://vault.azure.net";
const DAY_SECONDS = 86_400;

/** Starts an endpoint that closes at the end of the test. */
async function start(t, options) {
  const endpoint = await startEmulator({ source: "imds", ...options });
  t.teardown(() => endpoint.close());
  return endpoint;
}

/** Sends a valid request to an IMDS endpoint, and parses the response. */
function send(endpoint, { query = {}, ...options } = {}) {
  const url = new URL(endpoint.url);
  url.search = new URLSearchParams({ "api-version": "2018-02-01", resource: RESOURCE, ...query });
  const { request } = endpoint.certificate ? https : http;
  return new Promise((resolve, reject) => {
    request(url, { headers: { Metadata: "true" }, agent: false, ca: endpoint.certificate?.pem, ...options })
      .on("error", reject)
      .on("response", async (response) => {
        try {
          const text = Buffer.concat(await response.toArray()).toString("utf8");
          const { statusCode: status, headers } = response;
          resolve({ status, headers, text, body: text.startsWith("{") ? JSON.parse(text) : undefined });
        } catch (error) {
          reject(error);
        }
      })
      .end();
  });
}

/** Verifies the signature of a token and returns its claims. */
function verifiedClaims(t, endpoint, token) {
  const [header, claims, signature] = token.split(".");
  const signed = Buffer.from(`${header}.${claims}`);
  t.true(verify("sha256", signed, endpoint.publicKey, Buffer.from(signature, "base64url")));
  t.is(JSON.parse(Buffer.from(header, "base64url")).alg, "RS256");
  return JSON.parse(Buffer.from(claims, "base64url"));
}

test("exports: the sources, and default identities with distinct ids", (t) => {
  t.deepEqual(emulator.sources, [
    "app-service",
    "imds",
    "azure-arc",
    "cloud-shell",
    "machine-learning",
    "service-fabric",
    "workload-identity",
  ]);
  const identities = [
    emulator.systemAssignedIdentity,
    emulator.userAssignedIdentity,
    emulator.otherUserAssignedIdentity,
  ];
  const ids = identities.flatMap((identity) => Object.values(identity));
  t.is(new Set(ids).size, 9);
});

for (const [condition, options, message] of [
  ["no options", undefined, /"source"/],
  ["an unknown source", { source: "toString" }, /"source" must be one of app-service/],
  ["a source that is not a string", { source: ["imds"] }, /"source" must be one of app-service/],
  ["a tenant that is not a GUID", { source: "imds", tenantId: "foo" }, /"tenantId" must be a GUID\.$/],
  [
    "a domain name as the tenant",
    { source: "imds", tenantId: "contoso.com" },
    /"tenantId" must be a GUID\.$/,
  ],
  [
    "a tenant that is neither a GUID nor a domain name",
    { source: "imds", tenantId: "foo", tokens: () => {} },
    /"tenantId" must be a GUID or a domain name/,
  ],
  [
    "onUnknownIdentity that is not a function",
    { source: "imds", onUnknownIdentity: "x" },
    /"onUnknownIdentity"/,
  ],
  ["onRefusal that is not a function", { source: "imds", onRefusal: "x" }, /"onRefusal"/],
  ["a port out of range", { source: "imds", port: 65_536 }, /"port"/],
  ["a lifetime of zero", { source: "imds", lifetimeSeconds: 0 }, /"lifetimeSeconds"/],
  ["an empty secret", { source: "imds", secret: "" }, /"secret"/],
  ["resources that are not a list", { source: "imds", resources: RESOURCE }, /"resources"/],
  ["a clock that is not a function", { source: "imds", clock: 1 }, /"clock"/],
  ["an identity without an id", { source: "imds", identities: [{ clientId: "a" }] }, /"objectId"/],
  ["an unknown type of key", { source: "service-fabric", certificate: { key: "DSA" } }, /"key"/],
]) {
  test(`startEmulator with ${condition}: TypeError`, async (t) => {
    await t.throwsAsync(async () => startEmulator(options), { instanceOf: TypeError, message });
  });
}

for (const [written, source] of [
  ["AppService", "app-service"],
  ["DefaultToImds", "imds"],
  ["Imds", "imds"],
  ["WORKLOAD-identity", "workload-identity"],
]) {
  test(`source ${written}: is ${source}`, async (t) => {
    t.is((await start(t, { source: written })).source, source);
  });
}

test("an unknown id: is reported and rejected, but accepted with anyIdentity", async (t) => {
  const ids = [];
  const options = { source: "imds", onUnknownIdentity: (id) => ids.push(id) };
  const strict = await start(t, options);
  const { userAssignedIdentity, tenantId } = emulator;
  t.is((await send(strict, { query: { client_id: userAssignedIdentity.clientId } })).status, 200);
  t.is((await send(strict, { query: { client_id: tenantId } })).status, 400);
  const lenient = await start(t, { ...options, anyIdentity: true });
  t.is((await send(lenient, { query: { client_id: tenantId } })).status, 200);
  t.deepEqual(ids, [tenantId]);
});

test("a port in use: rejects with EADDRINUSE", async (t) => {
  const { origin } = await start(t);
  const port = Number(new URL(origin).port);
  await t.throwsAsync(startEmulator({ source: "imds", port }), { code: "EADDRINUSE" });
});

test("an endpoint: listens on the loopback address only", async (t) => {
  const { origin } = await start(t);
  const { hostname, port } = new URL(origin);
  t.is(hostname, "127.0.0.1");
  const outside = Object.values(networkInterfaces())
    .flat()
    .find(({ family, internal }) => family === "IPv4" && !internal);
  if (!outside) return;
  const [error] = await once(net.connect(Number(port), outside.address), "error").catch((e) => [e]);
  t.is(error.code, "ECONNREFUSED");
});

test("a token: has the claims of a managed identity and a valid signature", async (t) => {
  const endpoint = await start(t, { clock: () => 1_700_000_000_999 });
  const { body } = await send(endpoint, { query: { xms_cc: "cp1,cp2" } });
  const { clientId, objectId, resourceId } = emulator.systemAssignedIdentity;
  const { aio, rh, uti, ...claims } = verifiedClaims(t, endpoint, body.access_token);
  t.deepEqual(claims, {
    aud: RESOURCE,
    iss: `https://sts.windows.net/${emulator.tenantId}/`,
    iat: 1_699_999_700,
    nbf: 1_699_999_700,
    exp: 1_700_000_000 + DAY_SECONDS,
    appid: clientId,
    appidacr: "2",
    idp: `https://sts.windows.net/${emulator.tenantId}/`,
    idtyp: "app",
    oid: objectId,
    sub: objectId,
    tid: emulator.tenantId,
    ver: "1.0",
    xms_mirid: resourceId,
    xms_cc: ["cp1", "cp2"],
  });
  for (const random of [aio, rh, uti]) t.regex(random, /^[\w.-]{20,}$/);
});

test("tokens: are unique, and have no xms_cc without capabilities", async (t) => {
  const endpoint = await start(t, { clock: () => 0 });
  const responses = await Promise.all([send(endpoint), send(endpoint)]);
  const [one, other] = responses.map(({ body }) => verifiedClaims(t, endpoint, body.access_token));
  t.not(one.uti, other.uti);
  t.false("xms_cc" in one);
});

test("tenantId, lifetimeSeconds and systemAssigned: determine the token", async (t) => {
  const endpoint = await start(t, {
    tenantId: "0d9ff1a6-7a1c-4c3b-8f8a-4a2b6f1c9e55",
    lifetimeSeconds: 60,
    systemAssigned: { clientId: "11111111-2222-4333-8444-555555555555" },
  });
  const { body } = await send(endpoint);
  const claims = verifiedClaims(t, endpoint, body.access_token);
  t.is(body.expires_in, "60");
  t.is(claims.tid, "0d9ff1a6-7a1c-4c3b-8f8a-4a2b6f1c9e55");
  t.is(claims.appid, "11111111-2222-4333-8444-555555555555");
  t.is(claims.oid, emulator.systemAssignedIdentity.objectId);
});

test("a request: is recorded unchanged", async (t) => {
  const endpoint = await start(t);
  await send(endpoint, {
    query: { resource: "api://a b/ä'" },
    headers: { Metadata: "TRUE", "X-Thing": "1" },
  });
  await fetch(`${endpoint.origin}/elsewhere?a=1&a=2&__proto__=x`, {
    method: "POST",
    body: new URLSearchParams({ resource: "a b" }),
  });
  const [one, other] = endpoint.requests;
  t.is(one.method, "GET");
  t.is(one.path, "/metadata/identity/oauth2/token");
  t.deepEqual(one.query, { "api-version": "2018-02-01", resource: "api://a b/ä'" });
  t.is(one.rawUrl, `${one.path}?api-version=2018-02-01&resource=api%3A%2F%2Fa+b%2F%C3%A4%27`);
  t.is(one.headers["x-thing"], "1");
  t.is(one.body, "");
  t.is(one.form, undefined);
  t.is(one.status, 200);
  t.deepEqual(Object.entries(other.query), [
    ["a", ["1", "2"]],
    ["__proto__", "x"],
  ]);
  t.is(other.body, "resource=a+b");
  t.deepEqual(other.form, { resource: "a b" });
  t.is(other.status, 404);
  t.is(endpoint.requests.length, 2);
});

test("holds: requests wait until every hold is released", async (t) => {
  const endpoint = await start(t);
  const [first, second] = [endpoint.hold(), endpoint.hold()];
  let completed = 0;
  const responses = [1, 2, 3].map(() => send(endpoint).finally(() => (completed += 1)));
  await endpoint.waitForRequests(3);
  first();
  first();
  endpoint.next({ status: 418 });
  // If the first three requests were not held, they would be completed before the fourth is received.
  const fourth = send(endpoint);
  await endpoint.waitForRequests(4);
  t.is(completed, 0);
  t.deepEqual(
    endpoint.requests.map(({ status }) => status),
    [undefined, undefined, undefined, undefined],
  );
  second();
  t.deepEqual(
    (await Promise.all(responses)).map(({ status }) => status),
    [200, 200, 200],
  );
  t.is((await fourth).status, 418);
});

test("waitForRequests: resolves for received requests, and rejects when the endpoint closes", async (t) => {
  const endpoint = await start(t);
  await send(endpoint);
  await endpoint.waitForRequests(1);
  const waiting = endpoint.waitForRequests(2);
  await endpoint.close();
  await t.throwsAsync(waiting, { message: /waited for 2 requests, but the endpoint closed after 1/ });
  await t.throwsAsync(endpoint.waitForRequests(3), { message: /closed/ });
});

test("faults of next: apply once, in order, and before the fault of always", async (t) => {
  const endpoint = await start(t);
  endpoint.always({ status: 500, body: "always" });
  endpoint.next([{ status: 429, headers: { "Retry-After": "2" } }, {}]);
  endpoint.next({ body: Buffer.from("raw"), headers: { "content-type": "text/html" } });
  const responses = [];
  for (let i = 0; i < 5; i += 1) responses.push(await send(endpoint));
  endpoint.always(null);
  responses.push(await send(endpoint));
  t.deepEqual(
    responses.map(({ status }) => status),
    [429, 200, 200, 500, 500, 200],
  );
  t.is(responses[0].headers["retry-after"], "2");
  t.deepEqual(responses[0].body, { error: "invalid_request", error_description: "Too Many Requests" });
  t.is(responses[1].body.token_type, "Bearer");
  t.is(responses[2].text, "raw");
  t.is(responses[2].headers["content-type"], "text/html");
  t.is(responses[3].text, "always");
  t.is(responses[5].body.token_type, "Bearer");
});

test("body and headers of a fault: change the response, and an error in them is a 500", async (t) => {
  const endpoint = await start(t);
  endpoint.next([
    { body: (body) => ({ ...body, expires_on: "1/10/2020 8:01:28 AM +00:00" }) },
    { body: (body, request) => ({ resource: request.query.resource, type: typeof body.access_token }) },
    { status: 302, headers: { Location: "http://127.0.0.1:9/" }, body: "" },
    { headers: { "CONTENT-TYPE": undefined, "Set-Cookie": ["a=1", "b=2"] } },
    {
      body: () => {
        throw new Error("an error of the test");
      },
    },
    { headers: { "no header": "1" } },
  ]);
  t.is((await send(endpoint)).body.expires_on, "1/10/2020 8:01:28 AM +00:00");
  t.deepEqual((await send(endpoint)).body, { resource: RESOURCE, type: "string" });
  const redirect = await send(endpoint);
  t.deepEqual([redirect.status, redirect.headers.location], [302, "http://127.0.0.1:9/"]);
  t.deepEqual((await send(endpoint)).headers["set-cookie"], ["a=1", "b=2"]);
  const failure = await send(endpoint);
  t.is(failure.status, 500);
  t.regex(failure.text, /an error of the test/);
  t.regex((await send(endpoint)).text, /Header name must be a valid HTTP token/);
});

test("expiresIn and expiresOn of a fault: set the expiry of the token and of the response", async (t) => {
  const endpoint = await start(t, { clock: () => 1_700_000_000_000 });
  endpoint.next([
    { expiresIn: 240 },
    { expiresOn: 1_600_000_000 },
    { expiresOn: new Date(1_800_000_000_000) },
  ]);
  for (const expected of [1_700_000_240, 1_600_000_000, 1_800_000_000, 1_700_000_000 + DAY_SECONDS]) {
    const { body } = await send(endpoint);
    t.is(body.expires_on, String(expected));
    t.is(body.expires_in, String(expected - 1_700_000_000));
    t.is(verifiedClaims(t, endpoint, body.access_token).exp, expected);
  }
});

test("delay of a fault: postpones the response, but not close", async (t) => {
  const endpoint = await start(t);
  endpoint.next([{ delay: 20 }, { delay: 3_600_000 }]);
  const before = performance.now();
  await send(endpoint);
  // Node's timers may fire a millisecond early.
  t.true(performance.now() - before >= 19);
  const pending = send(endpoint);
  const failed = t.throwsAsync(pending, { code: "ECONNRESET" });
  await endpoint.waitForRequests(2);
  await endpoint.close();
  await failed;
});

for (const secure of [false, true]) {
  test(`drop and reset over ${secure ? "https" : "http"}: end the connection at every point`, async (t) => {
    const endpoint = await start(t, { secure });
    const points = ["before", "headers", "body"];
    endpoint.next(points.map((drop) => ({ drop })));
    endpoint.next(points.map((drop) => ({ drop, reset: true })));
    endpoint.next({ reset: true });
    for (let i = 0; i < 7; i += 1) await t.throwsAsync(send(endpoint), undefined, `fault ${i}`);
    t.is((await send(endpoint)).status, 200);
    t.deepEqual(
      endpoint.requests.map(({ status }) => status),
      [undefined, undefined, 200, undefined, undefined, 200, undefined, 200],
    );
  });
}

test("drop: the client receives everything before the drop point", async (t) => {
  const endpoint = await start(t);
  endpoint.next([{ drop: "before" }, { drop: "headers" }, { drop: "body", body: "0123456789" }]);
  const received = [];
  for (let i = 0; i < 3; i += 1) {
    const { host, port } = new URL(endpoint.origin);
    const socket = net.connect(Number(port), "127.0.0.1");
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    received.push(Buffer.concat(await socket.toArray()).toString("latin1"));
  }
  t.is(received[0], "");
  t.regex(received[1], /^HTTP\/1\.1 404 Not Found\r\n[^\r\n]+$/);
  t.regex(received[2], /^HTTP\/1\.1 404 Not Found\r\n.*\r\nContent-Length: 10\r\n.*\r\n\r\n01234$/s);
});

test("an invalid fault: next and always throw a TypeError", async (t) => {
  const endpoint = await start(t);
  t.throws(() => endpoint.next({ drop: "after" }), { instanceOf: TypeError, message: /"drop"/ });
  t.throws(() => endpoint.next([{ status: 99 }]), { instanceOf: TypeError, message: /"status"/ });
  t.throws(() => endpoint.always(undefined), { instanceOf: TypeError });
  t.is((await send(endpoint)).status, 200);
});

test("close: ends held requests, returns the same promise again, and is the dispose method", async (t) => {
  const endpoint = await start(t, { host: ownAddress() });
  endpoint.hold();
  const failed = t.throwsAsync(send(endpoint), { code: "ECONNRESET" });
  await endpoint.waitForRequests(1);
  const closing = endpoint.close();
  t.is(endpoint.close(), closing);
  await Promise.all([closing, failed]);
  await t.throwsAsync(send(endpoint), { code: "ECONNREFUSED" });
  if (Symbol.asyncDispose) t.is(endpoint[Symbol.asyncDispose](), closing);
});

test("a closed endpoint: the process exits despite idle connections and held requests", async (t) => {
  const script = `
    const { startEmulator, sources } = require("managed-identity-native/emulator");
    const net = require("node:net");
    (async () => {
      for (const source of sources) {
        const endpoint = await startEmulator({ source });
        const { host, port } = new URL(endpoint.origin);
        const socket = net.connect(port, "127.0.0.1").on("error", () => {});
        endpoint.hold();
        if (!endpoint.certificate) {
          socket.write("GET / HTTP/1.1\\r\\nHost: " + host + "\\r\\n\\r\\n");
          await endpoint.waitForRequests(1);
        }
        await endpoint.close();
      }
      console.log("end");
    })();`;
  const { stdout, stderr } = await run(process.execPath, ["-e", script], { cwd: ROOT, timeout: 20_000 });
  t.is(stdout, "end\n");
  t.is(stderr, "");
});

test("the package is removed after the emulator was loaded: every source starts and responds", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "emulator-spec-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "emulator.js");
  copyFileSync(require.resolve("managed-identity-native/emulator"), file);
  const script = `
    const { startEmulator, sources, azureCliTokens } = require(${JSON.stringify(file)});
    require("node:fs").rmSync(${JSON.stringify(directory)}, { recursive: true });
    const statuses = [];
    (async () => {
      for (const source of sources) {
        for (const tokens of [undefined, azureCliTokens()]) {
          const endpoint = await startEmulator({ source, tokens, secure: false });
          statuses.push((await fetch(endpoint.origin + "/elsewhere")).status);
          await endpoint.close();
        }
      }
      console.log(JSON.stringify(statuses));
    })();`;
  const { stdout, stderr } = await run(process.execPath, ["-e", script], { timeout: 20_000 });
  t.is(stderr, "");
  t.deepEqual(JSON.parse(stdout), Array(emulator.sources.length * 2).fill(404));
});

test("close: removes the endpoint's files", async (t) => {
  const endpoint = await start(t, { source: "workload-identity" });
  const files = [endpoint.env.AZURE_FEDERATED_TOKEN_FILE, endpoint.env.NODE_EXTRA_CA_CERTS];
  t.deepEqual(files.map(existsSync), [true, true]);
  await endpoint.close();
  t.deepEqual(files.map(existsSync), [false, false]);
});

for (const key of ["P-256", "RSA-2048"]) {
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    test(`https with ${key} and ${version}: clients that trust the certificate connect`, async (t) => {
      const tls = { minVersion: version, maxVersion: version };
      const endpoint = await start(t, { secure: true, certificate: { key }, tls });
      const { hostname: host, port } = new URL(endpoint.origin);
      const socket = connect({ host, port, ca: endpoint.certificate.pem });
      await once(socket, "secureConnect");
      t.is(socket.getProtocol(), version);
      t.is(socket.getPeerX509Certificate().publicKey.asymmetricKeyType, key === "P-256" ? "ec" : "rsa");
      socket.destroy();
      t.is((await send(endpoint)).status, 200);
      await t.throwsAsync(send(endpoint, { ca: undefined }), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    });
  }
}

test("certificate options: determine the certificate", async (t) => {
  const { certificate } = await start(t, {
    secure: true,
    certificate: {
      subject: "another name",
      key: "RSA-2048",
      notBefore: new Date("2001-02-03T04:05:06Z"),
      notAfter: new Date("2050-01-01T00:00:00Z"),
      names: ["example.test", "10.0.0.4"],
    },
  });
  const parsed = new X509Certificate(certificate.pem);
  t.is(parsed.subject, "CN=another name");
  t.is(parsed.issuer, parsed.subject);
  t.is(parsed.subjectAltName, "DNS:example.test, IP Address:10.0.0.4");
  t.is(parsed.validFrom, "Feb  3 04:05:06 2001 GMT");
  t.is(parsed.validTo, "Jan  1 00:00:00 2050 GMT");
  t.is(parsed.fingerprint.replaceAll(":", ""), certificate.thumbprint);
  t.deepEqual(parsed.raw, certificate.der);
  t.false(parsed.ca);
  t.true(parsed.verify(createPublicKey(certificate.pem)));
  t.deepEqual(Object.keys(certificate).sort(), ["der", "pem", "thumbprint"]);
});

test("certificate options: an expired certificate without names is possible, and each is unique", async (t) => {
  const options = {
    notAfter: new Date("2020-01-01T00:00:00Z"),
    notBefore: new Date("2019-01-01"),
    names: [],
  };
  const one = await start(t, { secure: true, certificate: options });
  const other = await start(t, { secure: true, certificate: options });
  t.not(one.certificate.thumbprint, other.certificate.thumbprint);
  t.is(new X509Certificate(one.certificate.pem).subjectAltName, undefined);
  await t.throwsAsync(send(one), { code: "CERT_HAS_EXPIRED" });
  t.is(one.requests.length, 0);
});
