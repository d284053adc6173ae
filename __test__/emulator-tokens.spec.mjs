// Where the emulator's tokens come from, when its user says so; whom it takes for an identity; and what it leaves
// behind.

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
import { acquireWithoutRetries, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const emulator = require("managed-identity-native/emulator");

const { systemAssignedIdentity, userAssignedIdentity, tenantId } = emulator;
const EXPIRY = Math.floor(Date.now() / 1000) + 7000;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/;

/** The sources whose tokens this package can get without a directory that belongs to root. */
const SOURCES = emulator.sources.filter((source) => source !== "azure-arc");
/** Whose token it is when a request names nobody. */
const UNNAMED = { "workload-identity": userAssignedIdentity };

/** A `tokens` function with what it was asked; `first` resolves when it is asked for the first time. */
function tokensThat(give) {
  const asked = [];
  let arrive;
  const first = new Promise((resolve) => {
    arrive = resolve;
  });
  const tokens = (request) => {
    asked.push(request);
    arrive(request);
    return give(request);
  };
  return { asked, first, tokens };
}

/** Azure Arc's two requests, by hand: the answer to the second. */
async function askArc(endpoint) {
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
  test(`${source}: the function's token is handed out, with its expiry`, async (t) => {
    const { asked, tokens } = tokensThat(async () => ({
      accessToken: "given",
      expiresOn: new Date(EXPIRY * 1000),
    }));
    const endpoint = await startEndpoint(t, source, { tokens });
    const before = Date.now();
    const result = await acquireWithoutRetries(endpoint, RESOURCE, { clientCapabilities: ["cp1", "cp2"] });
    t.is(result.accessToken, "given");
    const late = result.expiresOn.getTime() - EXPIRY * 1000;
    // Entra itself tells the seconds from the answer on, rounded up; the others tell the instant.
    const latest = source === "workload-identity" ? Date.now() - before + 1000 : 0;
    t.true(late >= 0 && late <= latest, `${late} ms, not up to ${latest}`);
    const [{ signal, ...request }] = asked;
    t.deepEqual(request, {
      resource: RESOURCE,
      identity: UNNAMED[source] ?? systemAssignedIdentity,
      capabilities: ["cp1", "cp2"],
      tenantId,
    });
    t.true(signal instanceof AbortSignal);
    t.false(signal.aborted);
  });

  test(`${source}: what the function rejects with is said in the host's own form`, async (t) => {
    const { tokens } = tokensThat(() => {
      throw Object.assign(new Error("no luck today"), { status: 400 });
    });
    const endpoint = await startEndpoint(t, source, { tokens });
    const error = await expectError(t, acquireWithoutRetries(endpoint));
    t.is(error.statusCode, 400);
    t.regex(error.errorMessage, /no luck today/);
    t.false(error.retryable);
    t.false(/emulator: /.test(error.errorMessage), "it is the host's refusal, not an author's mistake");
    t.is(endpoint.requests.length, 1);
  });
}

test("azure-arc: the same, behind its challenge", async (t) => {
  let luck = true;
  const { asked, tokens } = tokensThat(() => {
    if (!luck) throw Object.assign(new Error("no luck today"), { status: 400 });
    return { accessToken: "given", expiresOn: EXPIRY };
  });
  const endpoint = await startEndpoint(t, "azure-arc", { tokens });
  const { access_token: token, expires_on: expiry } = JSON.parse((await askArc(endpoint)).text);
  t.deepEqual([token, expiry], ["given", String(EXPIRY)]);
  t.is(asked.length, 1, "the challenge alone asks for no token");
  luck = false;
  const { status, text } = await askArc(endpoint);
  t.is(status, 400);
  t.deepEqual(JSON.parse(text), { error: "invalid_request", error_description: "no luck today" });
});

for (const [what, thrown, words] of [
  ["an error without a status", new Error("out of order"), /out of order/],
  ["a status out of range", Object.assign(new Error("out of order"), { status: 200 }), /out of order/],
  ["no error at all", "just words", /just words/],
]) {
  test(`${what} is a 500`, async (t) => {
    const { tokens } = tokensThat(() => Promise.reject(thrown));
    const error = await expectError(t, acquireWithoutRetries(await startEndpoint(t, "imds", { tokens })));
    t.is(error.statusCode, 500);
    t.regex(error.errorMessage, words);
  });
}

for (const [what, given] of [
  ["nothing", undefined],
  ["an empty token", { accessToken: "", expiresOn: EXPIRY }],
  ["a token that is no string", { accessToken: 7, expiresOn: EXPIRY }],
  ["no expiry", { accessToken: "a" }],
  ["an invalid date", { accessToken: "a", expiresOn: new Date("never") }],
]) {
  test(`a function that gives ${what} is told so`, async (t) => {
    const endpoint = await startEndpoint(t, "imds", { tokens: () => given });
    const { status, text } = await get(`${endpoint.url}?api-version=2018-02-01&resource=a`, {
      Metadata: "true",
    });
    t.is(status, 500);
    t.regex(text, /"tokens" must give \{ accessToken, expiresOn \}/);
  });
}

test("a scripted expiry replaces the token's own in the answer", async (t) => {
  const endpoint = await startEndpoint(t, "imds", {
    tokens: () => ({ accessToken: "a", expiresOn: EXPIRY }),
  });
  endpoint.next({ expiresOn: EXPIRY - 100 });
  t.is((await acquireWithoutRetries(endpoint)).expiresOn.getTime(), (EXPIRY - 100) * 1000);
});

test("whom the host refuses, the function never hears of", async (t) => {
  const { asked, tokens } = tokensThat(() => ({ accessToken: "a", expiresOn: EXPIRY }));
  const endpoint = await startEndpoint(t, "imds", { tokens, resources: ["https://elsewhere"] });
  await expectError(t, acquireWithoutRetries(endpoint), "invalid_resource");
  t.deepEqual(asked, []);
});

test("close does not wait for a token that does not come, and says that nobody waits for it", async (t) => {
  const { first, tokens } = tokensThat(() => new Promise(() => {}));
  const endpoint = await startEndpoint(t, "imds", { tokens });
  const failed = expectError(t, acquireWithoutRetries(endpoint), "managed_identity_unreachable_network");
  const { signal } = await first;
  t.false(signal.aborted);
  await endpoint.close();
  await failed;
  t.true(signal.aborted);
});

test("a token that comes after close is not sent to nobody", async (t) => {
  let give;
  const late = new Promise((resolve) => {
    give = resolve;
  });
  const { first, tokens } = tokensThat(() => late);
  const endpoint = await startEndpoint(t, "imds", { tokens });
  const failed = expectError(t, acquireWithoutRetries(endpoint));
  await first;
  await endpoint.close();
  await failed;
  give({ accessToken: "late", expiresOn: EXPIRY });
  await late;
  t.is(endpoint.requests[0].status, undefined);
});

for (const [what, options, message] of [
  ["tokens that are no function", { tokens: {} }, /"tokens" must be a function/],
  ["anyIdentity that is no boolean", { anyIdentity: "yes" }, /"anyIdentity" must be true or false/],
]) {
  test(`${what} is refused`, async (t) => {
    const start = async () => emulator.startEmulator({ source: "imds", ...options });
    await t.throwsAsync(start, { instanceOf: TypeError, message });
  });
}

const STRANGER = "11111111-2222-4333-8444-555555555555";
const STRANGERS = [
  ["imds", "userAssignedClientId", "clientId"],
  ["imds", "userAssignedObjectId", "objectId"],
  ["imds", "userAssignedResourceId", "resourceId"],
  ["app-service", "userAssignedClientId", "clientId"],
  ["app-service", "userAssignedResourceId", "resourceId"],
  ["machine-learning", "userAssignedClientId", "clientId"],
  ["workload-identity", "userAssignedClientId", "clientId"],
];
for (const [source, option, field] of STRANGERS) {
  test(`${source}: with anyIdentity every ${field} is somebody's, and always the same one's`, async (t) => {
    const { asked, tokens } = tokensThat(() => ({ accessToken: "a", expiresOn: EXPIRY }));
    const endpoint = await startEndpoint(t, source, { tokens, anyIdentity: true });
    const ask = (id) =>
      acquireWithoutRetries(endpoint, RESOURCE, { managedIdentityIdParams: { [option]: id } });
    await ask(STRANGER);
    await ask(`${STRANGER.slice(0, -1)}6`);
    await ask(userAssignedIdentity[field]);
    await endpoint.close();
    const again = await startEndpoint(t, source, { tokens, anyIdentity: true });
    await acquireWithoutRetries(again, RESOURCE, { managedIdentityIdParams: { [option]: STRANGER } });
    const [stranger, neighbour, known, same] = asked.map(({ identity }) => identity);
    t.is(stranger[field], STRANGER);
    t.deepEqual(same, stranger);
    t.deepEqual(known, userAssignedIdentity);
    for (const other of ["clientId", "objectId"].filter((name) => name !== field)) {
      t.regex(stranger[other], GUID);
      t.not(stranger[other], neighbour[other]);
    }
    const closed = await startEndpoint(t, source, { tokens });
    const without = acquireWithoutRetries(closed, RESOURCE, {
      managedIdentityIdParams: { [option]: STRANGER },
    });
    await expectError(t, without);
    t.is(asked.length, 4);
  });
}

/** A directory of the test's own. */
function directory(t) {
  const path = mkdtempSync(join(tmpdir(), "emulator-spec-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("azure-arc: the directories that were made for the key files go with the endpoint", async (t) => {
  const base = directory(t);
  const endpoint = await startEndpoint(t, "azure-arc", { tokensDirectory: join(base, "opt/agent/tokens") });
  await get(`${endpoint.url}?api-version=2020-06-01&resource=a`, { Metadata: "true" });
  t.is(readdirSync(join(base, "opt/agent/tokens")).length, 1);
  await endpoint.close();
  t.deepEqual(readdirSync(base), []);
});

test("azure-arc: a directory that was there stays, and so does what somebody else put into a new one", async (t) => {
  const base = directory(t);
  mkdirSync(join(base, "there"));
  const first = await startEndpoint(t, "azure-arc", { tokensDirectory: join(base, "there") });
  await first.close();
  t.true(existsSync(join(base, "there")));
  const second = await startEndpoint(t, "azure-arc", { tokensDirectory: join(base, "new/tokens") });
  writeFileSync(join(base, "new/other"), "somebody else's");
  await second.close();
  t.deepEqual(readdirSync(join(base, "new")), ["other"]);
});

test("azure-arc: a directory that cannot be made is the system's error, and nothing is left listening", async (t) => {
  const file = join(directory(t), "file");
  writeFileSync(file, "");
  const start = emulator.startEmulator({ source: "azure-arc", tokensDirectory: join(file, "tokens") });
  await t.throwsAsync(start, { code: "ENOTDIR" });
});

test("azure-arc: the default directory is a new one, which goes with the endpoint", async (t) => {
  const endpoint = await startEndpoint(t, "azure-arc");
  const { headers } = await get(`${endpoint.url}?api-version=2020-06-01&resource=a`, { Metadata: "true" });
  const [, path] = /realm=(.*)\/[^/]+\.key$/.exec(headers["www-authenticate"]);
  t.true(existsSync(path));
  await endpoint.close();
  t.false(existsSync(path));
});
