// `cache.cachePlugin`: the interface of msal-node, with the real file persistence of @azure/msal-node-extensions.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { runProcess } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** A plug-in that stores its text in memory and records each `cacheHasChanged`. */
function inMemoryPlugin(text = "") {
  const plugin = {
    text,
    changed: [],
    async beforeCacheAccess({ tokenCache }) {
      tokenCache.deserialize(plugin.text);
    },
    async afterCacheAccess({ cacheHasChanged, tokenCache }) {
      plugin.changed.push(cacheHasChanged);
      if (cacheHasChanged) plugin.text = tokenCache.serialize();
    },
  };
  return plugin;
}

/** A resource that only this test uses, because the memory cache belongs to the process. */
function uniqueResource(t) {
  return `https://${encodeURIComponent(t.title)}.example`;
}

/**
 * Acquires tokens with the real plug-in, in a child process. The index of its package loads keytar, which is not built
 * here, so its files are loaded instead.
 */
async function acquireWithFile({ argument: { file, resources }, native, require, report }) {
  const { pathToFileURL } = require("node:url");
  const root = require.resolve("@azure/msal-node-extensions/package.json").replace(/package\.json$/, "dist/");
  const load = (path) => import(pathToFileURL(root + path));
  const { FilePersistence } = await load("persistence/FilePersistence.mjs");
  const { PersistenceCachePlugin } = await load("persistence/PersistenceCachePlugin.mjs");
  const cachePlugin = new PersistenceCachePlugin(await FilePersistence.create(file));
  const application = new native.ManagedIdentityApplication({ cache: { cachePlugin } });
  for (const result of await Promise.all(resources.map((one) => application.acquireToken(one)))) {
    report({ token: result.accessToken.slice(-8), fromCache: result.fromCache });
  }
}

function cacheFile(t) {
  const directory = mkdtempSync(join(tmpdir(), "cache-plugin-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "cache.json");
}

test("file persistence: a later process finds every token", async (t) => {
  const [endpoint, file] = [await startEndpoint(t), cacheFile(t)];
  const resources = Array.from({ length: 8 }, (_, index) => `https://${index}.example`);
  const options = { argument: { file, resources }, env: endpoint.env };
  const first = await runProcess(t, acquireWithFile, options);
  const second = await runProcess(t, acquireWithFile, options);
  t.deepEqual(
    second,
    first.map(({ token }) => ({ token, fromCache: true })),
  );
  t.is(endpoint.requests.length, resources.length);
});

/** Acquires tokens with a plug-in that holds a lock from before it reads the file until it has written it. */
async function acquireWithLock({ argument: { file, resources }, native, require, report }) {
  const { open, readFile, rename, rm, writeFile } = require("node:fs/promises");
  const lock = `${file}.lock`;
  const cachePlugin = {
    async beforeCacheAccess({ tokenCache }) {
      for (;;) {
        const held = await open(lock, "wx").catch(() => undefined);
        if (held === undefined) continue;
        await held.close();
        break;
      }
      tokenCache.deserialize(await readFile(file, "utf8").catch(() => ""));
    },
    async afterCacheAccess({ cacheHasChanged, tokenCache }) {
      if (cacheHasChanged) {
        await writeFile(`${file}.new`, tokenCache.serialize());
        await rename(`${file}.new`, file);
      }
      await rm(lock);
    },
  };
  const application = new native.ManagedIdentityApplication({ cache: { cachePlugin } });
  for (const result of await Promise.all(resources.map((one) => application.acquireToken(one)))) {
    report({ token: result.accessToken.slice(-8), fromCache: result.fromCache });
  }
}

async function acquireConcurrently(t, program) {
  const [endpoint, file] = [await startEndpoint(t), cacheFile(t)];
  const sets = [0, 1, 2].map((set) => [0, 1, 2].map((index) => `https://${set}-${index}.example`));
  const acquireIn = (resources) =>
    runProcess(t, program, { argument: { file, resources }, env: endpoint.env });
  const first = await Promise.all(sets.map(acquireIn));
  t.is(endpoint.requests.length, 9);
  return { endpoint, first: first.flat(), acquireAll: () => acquireIn(sets.flat()) };
}

test("concurrent processes with a locking plug-in lose no tokens", async (t) => {
  const { endpoint, first, acquireAll } = await acquireConcurrently(t, acquireWithLock);
  t.deepEqual(
    await acquireAll(),
    first.map(({ token }) => ({ token, fromCache: true })),
  );
  t.is(endpoint.requests.length, 9);
});

// The package checks whether the file has changed before it takes the lock, and after a read releases a lock that may
// belong to another process by then, so that processes can overwrite each other's records. The cost is one request per
// lost record.
test("concurrent processes with file persistence: lost tokens are requested again, the others are correct", async (t) => {
  const { endpoint, first, acquireAll } = await acquireConcurrently(t, acquireWithFile);
  const second = await acquireAll();
  const missing = second.filter(({ fromCache }) => !fromCache);
  t.is(endpoint.requests.length, 9 + missing.length);
  for (const [index, { token, fromCache }] of second.entries()) {
    if (fromCache) t.is(token, first[index].token);
  }
  t.deepEqual(
    await acquireAll(),
    second.map(({ token }) => ({ token, fromCache: true })),
  );
});

test("other content of the cache file is preserved", async (t) => {
  const [endpoint, file] = [await startEndpoint(t), cacheFile(t)];
  const otherContent = { AccessToken: { key: { secret: "another" } }, Account: {} };
  writeFileSync(file, JSON.stringify(otherContent));
  await runProcess(t, acquireWithFile, { argument: { file, resources: [RESOURCE] }, env: endpoint.env });
  const { "managed-identity-native": packageContent, ...rest } = JSON.parse(readFileSync(file, "utf8"));
  t.deepEqual(rest, otherContent);
  t.is(Object.keys(packageContent).length, 1);
});

test("the plug-in is read on a miss and written on a new token", async (t) => {
  const endpoint = await startEndpoint(t);
  const plugin = inMemoryPlugin();
  const application = new ManagedIdentityApplication({ cache: { cachePlugin: plugin } });
  const resource = uniqueResource(t);
  await acquire(endpoint, resource, application);
  t.deepEqual(plugin.changed, [false, true]);
  await acquire(endpoint, resource, application);
  t.deepEqual(plugin.changed, [false, true]);
  await acquire(endpoint, { resource, forceRefresh: true }, application);
  t.deepEqual(plugin.changed, [false, true, true]);
  t.is(endpoint.requests.length, 2);
});

test("an application uses its own plug-in for its own keys", async (t) => {
  const endpoint = await startEndpoint(t);
  const [one, other] = [inMemoryPlugin(), inMemoryPlugin()];
  const acquireIn = (cachePlugin, resource) =>
    acquire(endpoint, resource, new ManagedIdentityApplication({ cache: { cachePlugin } }));
  await acquireIn(one, `${uniqueResource(t)}/1`);
  await acquireIn(other, `${uniqueResource(t)}/2`);
  t.is(Object.keys(JSON.parse(one.text)["managed-identity-native"]).length, 1);
  t.is(Object.keys(JSON.parse(other.text)["managed-identity-native"]).length, 1);
  t.not(one.text, other.text);
});

const FAULTS = {
  "throws before": { beforeCacheAccess: () => fail() },
  "rejects before": { beforeCacheAccess: async () => fail() },
  "throws after": { afterCacheAccess: () => fail() },
  "rejects after": { afterCacheAccess: async () => fail() },
  "deserializes nonsense": {
    beforeCacheAccess: async ({ tokenCache }) => tokenCache.deserialize("nonsense"),
  },
  "deserializes an array": { beforeCacheAccess: async ({ tokenCache }) => tokenCache.deserialize("[1]") },
  "deserializes undefined": {
    beforeCacheAccess: async ({ tokenCache }) => tokenCache.deserialize(undefined),
  },
  "deserializes records of another kind": {
    beforeCacheAccess: async ({ tokenCache }) =>
      tokenCache.deserialize('{"managed-identity-native":{"a":5,"b":null}}'),
  },
};

function fail() {
  throw new Error("plug-in failure");
}

for (const [name, faults] of Object.entries(FAULTS)) {
  test(`a plug-in that ${name} is ignored`, async (t) => {
    const endpoint = await startEndpoint(t);
    const cachePlugin = { ...inMemoryPlugin(), ...faults };
    const application = new ManagedIdentityApplication({ cache: { cachePlugin } });
    const { fromCache } = await acquire(endpoint, uniqueResource(t), application);
    t.false(fromCache);
    t.is(endpoint.requests.length, 1);
  });
}

test("a plug-in is called again after it failed", async (t) => {
  const endpoint = await startEndpoint(t);
  const plugin = inMemoryPlugin();
  let failures = 1;
  const { beforeCacheAccess } = plugin;
  plugin.beforeCacheAccess = (context) => (failures-- > 0 ? fail() : beforeCacheAccess(context));
  const application = new ManagedIdentityApplication({ cache: { cachePlugin: plugin } });
  await acquire(endpoint, uniqueResource(t), application);
  t.deepEqual(plugin.changed, [true]);
});

/**
 * Acquires tokens with a plug-in whose first access never settles, and shortens the ten seconds for which other
 * accesses wait.
 */
async function acquirePastHungAccess({ argument: { resources, timeout }, native, report }) {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (callback, ms, ...rest) => setTimeout(callback, ms === 10_000 ? 1 : ms, ...rest);
  let accesses = 0;
  const cachePlugin = {
    beforeCacheAccess() {
      accesses += 1;
      return accesses === 1 ? new Promise(() => undefined) : undefined;
    },
    afterCacheAccess() {},
  };
  const application = new native.ManagedIdentityApplication({ cache: { cachePlugin } });
  for (const resource of resources) await application.acquireToken({ resource, timeout });
  report(accesses);
}

test("a plug-in is called again after an access that did not settle", async (t) => {
  const endpoint = await startEndpoint(t);
  const resources = ["https://1.example", "https://2.example"];
  // Half of it is spent on waiting for the first access, and the rest suffices for a request on a busy machine.
  const options = { argument: { resources, timeout: 10_000 }, env: endpoint.env };
  // One access to read and one to write, for each token.
  t.deepEqual(await runProcess(t, acquirePastHungAccess, options), [4]);
  t.is(endpoint.requests.length, 2);
});
