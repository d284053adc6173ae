// `cache.cachePlugin`: msal-node's interface, with the real file persistence of @azure/msal-node-extensions.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** A plug-in that keeps its text in memory and notes what it was asked for. */
function remembering(text = "") {
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

/** A resource of this test's own: memory is the process's. */
function resourceOf(t) {
  return `https://${encodeURIComponent(t.title)}.example`;
}

/** With the real plug-in, in a process of its own. Its index loads keytar, which was not built: hence the files. */
async function askWithFile({ argument: { file, resources }, native, require, report }) {
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

function place(t) {
  const folder = mkdtempSync(join(tmpdir(), "cache-plugin-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "cache.json");
}

test("the file persistence of msal-node-extensions: a later process finds every token", async (t) => {
  const [endpoint, file] = [await startEndpoint(t), place(t)];
  const resources = Array.from({ length: 8 }, (_, index) => `https://${index}.example`);
  const options = { argument: { file, resources }, env: endpoint.env };
  const first = await runProcess(t, askWithFile, options);
  const second = await runProcess(t, askWithFile, options);
  t.deepEqual(
    second,
    first.map(({ token }) => ({ token, fromCache: true })),
  );
  t.is(endpoint.requests.length, resources.length);
});

/** With a plug-in that locks as it should: from before it reads the file until it has written it. */
async function askWithLock({ argument: { file, resources }, native, require, report }) {
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

async function askAtOneTime(t, program) {
  const [endpoint, file] = [await startEndpoint(t), place(t)];
  const sets = [0, 1, 2].map((set) => [0, 1, 2].map((index) => `https://${set}-${index}.example`));
  const ask = (resources) => runProcess(t, program, { argument: { file, resources }, env: endpoint.env });
  const first = await Promise.all(sets.map(ask));
  t.is(endpoint.requests.length, 9);
  return { endpoint, first: first.flat(), askAll: () => ask(sets.flat()) };
}

test("processes that share a text at one time lose nothing of each other's", async (t) => {
  const { endpoint, first, askAll } = await askAtOneTime(t, askWithLock);
  t.deepEqual(
    await askAll(),
    first.map(({ token }) => ({ token, fromCache: true })),
  );
  t.is(endpoint.requests.length, 9);
});

// That package looks whether the file has changed before it has the lock, and after a reading lets go of a lock that
// is another's by then: what one process writes, another can overwrite. That costs a request, and never more.
test("the file persistence in processes at one time: what it loses is fetched again, what it has is right", async (t) => {
  const { endpoint, first, askAll } = await askAtOneTime(t, askWithFile);
  const second = await askAll();
  const missing = second.filter(({ fromCache }) => !fromCache);
  t.is(endpoint.requests.length, 9 + missing.length);
  for (const [index, { token, fromCache }] of second.entries()) {
    if (fromCache) t.is(token, first[index].token);
  }
  t.deepEqual(
    await askAll(),
    second.map(({ token }) => ({ token, fromCache: true })),
  );
});

test("what others have put into the text stays", async (t) => {
  const [endpoint, file] = [await startEndpoint(t), place(t)];
  const theirs = { AccessToken: { key: { secret: "theirs" } }, Account: {} };
  writeFileSync(file, JSON.stringify(theirs));
  await runProcess(t, askWithFile, { argument: { file, resources: [RESOURCE] }, env: endpoint.env });
  const { "managed-identity-native": ours, ...rest } = JSON.parse(readFileSync(file, "utf8"));
  t.deepEqual(rest, theirs);
  t.is(Object.keys(ours).length, 1);
});

test("it is asked only without a fresh token, and told only of new ones", async (t) => {
  const endpoint = await startEndpoint(t);
  const plugin = remembering();
  const application = new ManagedIdentityApplication({ cache: { cachePlugin: plugin } });
  const resource = resourceOf(t);
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
  const [one, other] = [remembering(), remembering()];
  const ask = (cachePlugin, resource) =>
    acquire(endpoint, resource, new ManagedIdentityApplication({ cache: { cachePlugin } }));
  await ask(one, `${resourceOf(t)}/1`);
  await ask(other, `${resourceOf(t)}/2`);
  t.is(Object.keys(JSON.parse(one.text)["managed-identity-native"]).length, 1);
  t.is(Object.keys(JSON.parse(other.text)["managed-identity-native"]).length, 1);
  t.not(one.text, other.text);
});

const faulty = {
  "throws before": { beforeCacheAccess: () => fail() },
  "rejects before": { beforeCacheAccess: async () => fail() },
  "throws after": { afterCacheAccess: () => fail() },
  "rejects after": { afterCacheAccess: async () => fail() },
  "hands over nonsense": { beforeCacheAccess: async ({ tokenCache }) => tokenCache.deserialize("nonsense") },
  "hands over a list": { beforeCacheAccess: async ({ tokenCache }) => tokenCache.deserialize("[1]") },
  "hands over no text": { beforeCacheAccess: async ({ tokenCache }) => tokenCache.deserialize(undefined) },
  "hands over records of another kind": {
    beforeCacheAccess: async ({ tokenCache }) =>
      tokenCache.deserialize('{"managed-identity-native":{"a":5,"b":null}}'),
  },
};

function fail() {
  throw new Error("a plug-in that fails");
}

for (const [name, faults] of Object.entries(faulty)) {
  test(`a plug-in that ${name} is as good as none`, async (t) => {
    const endpoint = await startEndpoint(t);
    const cachePlugin = { ...remembering(), ...faults };
    const application = new ManagedIdentityApplication({ cache: { cachePlugin } });
    const { fromCache } = await acquire(endpoint, resourceOf(t), application);
    t.false(fromCache);
    t.is(endpoint.requests.length, 1);
  });
}

test("after a plug-in has failed once it is asked again", async (t) => {
  const endpoint = await startEndpoint(t);
  const plugin = remembering();
  let failures = 1;
  const { beforeCacheAccess } = plugin;
  plugin.beforeCacheAccess = (context) => (failures-- > 0 ? fail() : beforeCacheAccess(context));
  const application = new ManagedIdentityApplication({ cache: { cachePlugin: plugin } });
  await acquire(endpoint, resourceOf(t), application);
  t.deepEqual(plugin.changed, [true]);
});

/** With a plug-in that never comes back from its first access; the ten seconds for which the others wait are over soon. */
async function askPastSilence({ argument: { resources, timeout }, native, report }) {
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

test("a plug-in that did not come back once is asked again", async (t) => {
  const endpoint = await startEndpoint(t);
  const resources = ["https://1.example", "https://2.example"];
  const options = { argument: { resources, timeout: 2_000 }, env: endpoint.env };
  // Reading and keeping, twice.
  t.deepEqual(await runProcess(t, askPastSilence, options), [4]);
  t.is(endpoint.requests.length, 2);
});
