// The emulator's options `tokens`, `anyIdentity` and `tokensDirectory`.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const emulator = require("managed-identity-native/emulator");

const { systemAssignedIdentity, userAssignedIdentity, tenantId } = emulator;
const EXPIRY = Math.floor(Date.now() / 1000) + 7000;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/;

/** The sources that need no directory owned by root. */
const SOURCES = emulator.sources.filter((source) => source !== "azure-arc");
/** The identity of a request without an id, where it is not the system-assigned one. */
const DEFAULT_IDENTITY = { "workload-identity": userAssignedIdentity };

/** Returns a `tokens` function that records its calls in `calls`; `first` resolves with the first call. */
function recordTokens(getToken) {
  const calls = [];
  let resolveFirst;
  const first = new Promise((resolve) => {
    resolveFirst = resolve;
  });
  const tokens = (request) => {
    calls.push(request);
    resolveFirst(request);
    return getToken(request);
  };
  return { calls, first, tokens };
}

/** Sends Azure Arc's two requests and returns the second response. */
async function requestArcToken(endpoint) {
  const url = `${endpoint.url}?api-version=2020-06-01&resource=${encodeURIComponent(RESOURCE)}`;
  const challenge = await get(url, { Metadata: "true" });
  const key = readFileSync(/realm=(.*)$/.exec(challenge.headers["www-authenticate"])[1], "utf8");
  return get(url, { Metadata: "true", Authorization: `Basic ${key}` });
}

function get(url, headers) {
  return new Promise((resolve, reject) => {
    http
      .get(url, { headers, agent: false }, async (response) => {
        const text = Buffer.concat(await response.toArray()).toString("utf8");
        resolve({ status: response.statusCode, headers: response.headers, text });
      })
      .on("error", reject);
  });
}

for (const source of SOURCES) {
  testWith(test, ...neededBySource(source))(
    `${source}: returns the token and the expiry of the function`,
    async (t) => {
      const { calls, tokens } = recordTokens(async () => ({
        accessToken: "given",
        expiresOn: new Date(EXPIRY * 1000),
      }));
      const endpoint = await startEndpoint(t, source, { tokens });
      const before = Date.now();
      const result = await acquireWithoutRetries(endpoint, RESOURCE, { clientCapabilities: ["cp1", "cp2"] });
      t.is(result.accessToken, "given");
      const difference = result.expiresOn.getTime() - EXPIRY * 1000;
      // Entra states the lifetime, rounded up to seconds, and the other sources state the expiry.
      const maximum = source === "workload-identity" ? Date.now() - before + 1000 : 0;
      t.true(difference >= 0 && difference <= maximum, `${difference} ms, more than ${maximum}`);
      const [{ signal, ...request }] = calls;
      t.deepEqual(request, {
        resource: RESOURCE,
        identity: DEFAULT_IDENTITY[source] ?? systemAssignedIdentity,
        capabilities: ["cp1", "cp2"],
        tenantId,
      });
      t.true(signal instanceof AbortSignal);
      t.false(signal.aborted);
    },
  );

  testWith(test, ...neededBySource(source))(
    `${source}: an error of the function is reported in the source's own format`,
    async (t) => {
      const { tokens } = recordTokens(() => {
        throw Object.assign(new Error("no token today"), { status: 400 });
      });
      const endpoint = await startEndpoint(t, source, { tokens });
      const error = await expectError(t, acquireWithoutRetries(endpoint));
      t.is(error.statusCode, 400);
      t.regex(error.errorMessage, /no token today/);
      t.false(error.retryable);
      t.false(
        /emulator: /.test(error.errorMessage),
        "it is an error response of the source, not a 500 for the test's author",
      );
      t.is(endpoint.requests.length, 1);
    },
  );
}

test("azure-arc: the function is called after the challenge only, and its error is reported", async (t) => {
  let isAvailable = true;
  const { calls, tokens } = recordTokens(() => {
    if (!isAvailable) throw Object.assign(new Error("no token today"), { status: 400 });
    return { accessToken: "given", expiresOn: EXPIRY };
  });
  const endpoint = await startEndpoint(t, "azure-arc", { tokens });
  const { access_token: token, expires_on: expiry } = JSON.parse((await requestArcToken(endpoint)).text);
  t.deepEqual([token, expiry], ["given", String(EXPIRY)]);
  t.is(calls.length, 1, "the challenge requests no token");
  isAvailable = false;
  const { status, text } = await requestArcToken(endpoint);
  t.is(status, 400);
  t.deepEqual(JSON.parse(text), { error: "invalid_request", error_description: "no token today" });
});

for (const [condition, thrown, message] of [
  ["an error without a status", new Error("out of order"), /out of order/],
  ["a status out of range", Object.assign(new Error("out of order"), { status: 200 }), /out of order/],
  ["a rejection with a string", "a string", /a string/],
]) {
  test(`${condition}: status 500`, async (t) => {
    const { tokens } = recordTokens(() => Promise.reject(thrown));
    const error = await expectError(t, acquireWithoutRetries(await startEndpoint(t, "imds", { tokens })));
    t.is(error.statusCode, 500);
    t.regex(error.errorMessage, message);
  });
}

for (const [result, token] of [
  ["nothing", undefined],
  ["an empty token", { accessToken: "", expiresOn: EXPIRY }],
  ["a token that is not a string", { accessToken: 7, expiresOn: EXPIRY }],
  ["no expiry", { accessToken: "a" }],
  ["an invalid date", { accessToken: "a", expiresOn: new Date("never") }],
]) {
  test(`a function that returns ${result}: status 500 with the reason`, async (t) => {
    const endpoint = await startEndpoint(t, "imds", { tokens: () => token });
    const { status, text } = await get(`${endpoint.url}?api-version=2018-02-01&resource=a`, {
      Metadata: "true",
    });
    t.is(status, 500);
    t.regex(text, /"tokens" must return \{ accessToken, expiresOn \}/);
  });
}

test("expiresOn of a fault: replaces the expiry of the function's token", async (t) => {
  const endpoint = await startEndpoint(t, "imds", {
    tokens: () => ({ accessToken: "a", expiresOn: EXPIRY }),
  });
  endpoint.next({ expiresOn: EXPIRY - 100 });
  t.is((await acquireWithoutRetries(endpoint)).expiresOn.getTime(), (EXPIRY - 100) * 1000);
});

test("a rejected request: the token function is not called", async (t) => {
  const { calls, tokens } = recordTokens(() => ({ accessToken: "a", expiresOn: EXPIRY }));
  const endpoint = await startEndpoint(t, "imds", { tokens, resources: ["https://elsewhere"] });
  await expectError(t, acquireWithoutRetries(endpoint), "invalid_resource");
  t.deepEqual(calls, []);
});

test("close during a call of the function: does not wait, and aborts its signal", async (t) => {
  const { first, tokens } = recordTokens(() => new Promise(() => {}));
  const endpoint = await startEndpoint(t, "imds", { tokens });
  const failed = expectError(t, acquireWithoutRetries(endpoint), "managed_identity_unreachable_network");
  const { signal } = await first;
  t.false(signal.aborted);
  await endpoint.close();
  await failed;
  t.true(signal.aborted);
});

test("a token that arrives after close: is not sent", async (t) => {
  let resolveToken;
  const late = new Promise((resolve) => {
    resolveToken = resolve;
  });
  const { first, tokens } = recordTokens(() => late);
  const endpoint = await startEndpoint(t, "imds", { tokens });
  const failed = expectError(t, acquireWithoutRetries(endpoint));
  await first;
  await endpoint.close();
  await failed;
  resolveToken({ accessToken: "late", expiresOn: EXPIRY });
  await late;
  t.is(endpoint.requests[0].status, undefined);
});

for (const [condition, options, message] of [
  ["tokens that is not a function", { tokens: {} }, /"tokens" must be a function/],
  ["anyIdentity that is not a boolean", { anyIdentity: "yes" }, /"anyIdentity" must be true or false/],
]) {
  test(`startEmulator with ${condition}: TypeError`, async (t) => {
    const start = async () => emulator.startEmulator({ source: "imds", ...options });
    await t.throwsAsync(start, { instanceOf: TypeError, message });
  });
}

const UNKNOWN_ID = "11111111-2222-4333-8444-555555555555";
const UNKNOWN_IDS = [
  ["imds", "userAssignedClientId", "clientId"],
  ["imds", "userAssignedObjectId", "objectId"],
  ["imds", "userAssignedResourceId", "resourceId"],
  ["app-service", "userAssignedClientId", "clientId"],
  ["app-service", "userAssignedResourceId", "resourceId"],
  ["machine-learning", "userAssignedClientId", "clientId"],
  ["workload-identity", "userAssignedClientId", "clientId"],
];
for (const [source, option, field] of UNKNOWN_IDS) {
  testWith(test, ...neededBySource(source))(
    `${source} with anyIdentity: every ${field} has an identity, which is always the same`,
    async (t) => {
      const { calls, tokens } = recordTokens(() => ({ accessToken: "a", expiresOn: EXPIRY }));
      const endpoint = await startEndpoint(t, source, { tokens, anyIdentity: true });
      const acquire = (id) =>
        acquireWithoutRetries(endpoint, RESOURCE, { managedIdentityIdParams: { [option]: id } });
      await acquire(UNKNOWN_ID);
      await acquire(`${UNKNOWN_ID.slice(0, -1)}6`);
      await acquire(userAssignedIdentity[field]);
      await endpoint.close();
      const restarted = await startEndpoint(t, source, { tokens, anyIdentity: true });
      await acquireWithoutRetries(restarted, RESOURCE, { managedIdentityIdParams: { [option]: UNKNOWN_ID } });
      const [synthetic, other, known, again] = calls.map(({ identity }) => identity);
      t.is(synthetic[field], UNKNOWN_ID);
      t.deepEqual(again, synthetic);
      t.deepEqual(known, userAssignedIdentity);
      for (const otherField of ["clientId", "objectId"].filter((name) => name !== field)) {
        t.regex(synthetic[otherField], GUID);
        t.not(synthetic[otherField], other[otherField]);
      }
      const strict = await startEndpoint(t, source, { tokens });
      const without = acquireWithoutRetries(strict, RESOURCE, {
        managedIdentityIdParams: { [option]: UNKNOWN_ID },
      });
      await expectError(t, without);
      t.is(calls.length, 4);
    },
  );
}

/** Creates a temporary directory for the test. */
function createDirectory(t) {
  const path = mkdtempSync(join(tmpdir(), "emulator-spec-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("azure-arc, a missing tokensDirectory: is created, and close removes it", async (t) => {
  const base = createDirectory(t);
  const endpoint = await startEndpoint(t, "azure-arc", { tokensDirectory: join(base, "opt/agent/tokens") });
  await get(`${endpoint.url}?api-version=2020-06-01&resource=a`, { Metadata: "true" });
  t.is(readdirSync(join(base, "opt/agent/tokens")).length, 1);
  await endpoint.close();
  t.deepEqual(readdirSync(base), []);
});

test("azure-arc, close: keeps an existing tokensDirectory, and files of other programs", async (t) => {
  const base = createDirectory(t);
  mkdirSync(join(base, "existing"));
  const first = await startEndpoint(t, "azure-arc", { tokensDirectory: join(base, "existing") });
  await first.close();
  t.true(existsSync(join(base, "existing")));
  const second = await startEndpoint(t, "azure-arc", { tokensDirectory: join(base, "new/tokens") });
  writeFileSync(join(base, "new/other"), "of another program");
  await second.close();
  t.deepEqual(readdirSync(join(base, "new")), ["other"]);
});

test("azure-arc, a tokensDirectory that cannot be created: rejects with the system's error and stops listening", async (t) => {
  const file = join(createDirectory(t), "file");
  writeFileSync(file, "");
  const start = emulator.startEmulator({ source: "azure-arc", tokensDirectory: join(file, "tokens") });
  await t.throwsAsync(start, { code: "ENOTDIR" });
});

test("azure-arc, no tokensDirectory: a temporary directory is used, and close removes it", async (t) => {
  const endpoint = await startEndpoint(t, "azure-arc");
  const { headers } = await get(`${endpoint.url}?api-version=2020-06-01&resource=a`, { Metadata: "true" });
  const [, path] = /realm=(.*)[\\/][^\\/]+\.key$/.exec(headers["www-authenticate"]);
  t.true(existsSync(path));
  await endpoint.close();
  t.false(existsSync(path));
});
