// `cache.directory`: the files in it, which records are valid, and how processes share it.

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { has, testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess, startWorker } from "./support/child-program.mjs";
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

/** The path of a directory that does not exist yet, inside one that is removed with the test. */
function cacheDirectory(t) {
  const parent = mkdtempSync(join(realpathSync(tmpdir()), "disk-cache-"));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, "tokens");
}

/** The record files in a directory. */
function records(directory) {
  return readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(directory, name));
}

/**
 * Acquires tokens one after another and reports where each came from. Ends once the new ones are written: a call waits only
 * a second for that, which is not enough on a busy machine.
 */
async function acquireInTurn({ argument, native, require, report }) {
  const { directory, hostname, resources, timeout } = argument;
  if (hostname !== undefined) require("node:os").hostname = () => hostname;
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  for (const resource of resources) {
    const { accessToken, fromCache, expiresOn, refreshOn, metadata } = await application.acquireToken({
      resource,
      timeout,
    });
    report({ token: accessToken.slice(-8), fromCache, expiresOn, refreshOn, source: metadata.tokenSource });
  }
  await native.ManagedIdentityApplication.flush({ timeout: 60_000 });
}

function acquireIn(t, endpoint, directory, options = {}) {
  const { env, resources = [RESOURCE], ...rest } = options;
  return runProcess(t, acquireInTurn, {
    argument: { directory, resources, ...rest },
    env: { ...endpoint.env, ...env },
  });
}

test("a later process finds the token unchanged, without a request", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const [first] = await acquireIn(t, endpoint, directory);
  const [second] = await acquireIn(t, endpoint, directory);
  t.deepEqual([first.fromCache, first.source], [false, "IdentityProvider"]);
  t.deepEqual(second, { ...first, fromCache: true, source: "Cache" });
  t.is(endpoint.requests.length, 1);
});

test("the disk cache is off by default", async (t) => {
  const endpoint = await startEndpoint(t);
  const directory = cacheDirectory(t);
  await acquire(endpoint);
  t.false(existsSync(directory));
});

test("files are readable only by their user, and file names do not reveal the identity", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  await acquireIn(t, endpoint, directory);
  const names = readdirSync(directory);
  t.is(names.length, 2);
  for (const name of names) t.regex(name, /^[0-9a-f]{64}\.(json|lock)$/);
  if (!has("file permissions")) return;
  t.is(statSync(directory).mode & 0o777, 0o700);
  for (const name of names) t.is(statSync(join(directory, name)).mode & 0o777, 0o600, name);
});

const UNSAFE_DIRECTORIES = {
  "others may read": (directory) => mkdirSync(directory, { mode: 0o755 }),
  "the group may write to": (directory) => {
    mkdirSync(directory);
    chmodSync(directory, 0o720);
  },
  "is a symbolic link": (directory) => {
    mkdirSync(`${directory}-elsewhere`, { mode: 0o700 });
    symlinkSync(`${directory}-elsewhere`, directory);
  },
  "is a symbolic link, with a trailing slash": (directory) => {
    mkdirSync(`${directory}-elsewhere`, { mode: 0o700 });
    symlinkSync(`${directory}-elsewhere`, directory);
  },
  "is a file": (directory) => writeFileSync(directory, ""),
  "cannot be created": (directory) => writeFileSync(join(directory, "..", "parent"), ""),
};
const NEEDED_FOR_DIRECTORY = {
  "others may read": ["file permissions"],
  "the group may write to": ["file permissions"],
  "is a symbolic link": ["symbolic links"],
  "is a symbolic link, with a trailing slash": ["symbolic links"],
};
for (const [name, make] of Object.entries(UNSAFE_DIRECTORIES)) {
  testWith(test, ...(NEEDED_FOR_DIRECTORY[name] ?? []))(
    `a directory that ${name} rejects with an error, without a request`,
    async (t) => {
      const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
      make(directory);
      const paths = {
        "cannot be created": join(directory, "..", "parent", "tokens"),
        "is a symbolic link, with a trailing slash": `${directory}/`,
      };
      const path = paths[name] ?? directory;
      const application = new ManagedIdentityApplication({ cache: { directory: path } });
      const error = await expectError(t, acquire(endpoint, `https://${name.length}.example`, application));
      t.is(error.errorCode, "invalid_configuration");
      t.true(error.message.includes("cache.directory"), error.message);
      t.is(endpoint.requests.length, 0);
    },
  );
}

testWith(has("root") ? test : test.serial, "file permissions")(
  "a directory of another user rejects with an error",
  async (t) => {
    const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
    mkdirSync(directory, { mode: 0o700 });
    // Root can change the owner of a directory. Other users use the root directory, which belongs to root.
    if (process.getuid() === 0) chownSync(directory, 1, 1);
    const foreign = process.getuid() === 0 ? directory : "/";
    const application = new ManagedIdentityApplication({ cache: { directory: foreign } });
    const error = await expectError(t, acquire(endpoint, "https://foreign.example", application));
    t.regex(error.message, /^invalid_configuration: cache\.directory \(.*\) belongs to another user\.$/);
    t.is(endpoint.requests.length, 0);
  },
);

const DAMAGES = {
  "is truncated": (file) => truncateSync(file, statSync(file).size - 1),
  "is empty": (file) => truncateSync(file, 0),
  "is not JSON": (file) => writeFileSync(file, "}"),
  "has an unknown format": (file) => writeFileSync(file, '{"AccessToken":{}}'),
  "has a flipped bit": (file) => {
    const bytes = readFileSync(file);
    bytes[bytes.indexOf('"access_token":"') + 30] ^= 1;
    writeFileSync(file, bytes);
  },
  "has a later expiry": (file) => {
    const text = readFileSync(file, "utf8");
    writeFileSync(
      file,
      text.replace(/"expires_on_ms":(\d+)/, (_, ms) => `"expires_on_ms":${Number(ms) + 1}`),
    );
  },
  "has another version": (file) => {
    writeFileSync(file, readFileSync(file, "utf8").replace('"version":1', '"version":2'));
  },
  "is huge": (file) => writeFileSync(file, " ".repeat(3_000_000)),
  "is a symbolic link": (file) => {
    writeFileSync(`${file}.real`, readFileSync(file), { mode: 0o600 });
    rmSync(file);
    symlinkSync(`${file}.real`, file);
  },
};

for (const [name, damage] of Object.entries(DAMAGES)) {
  const capabilities = name === "is a symbolic link" ? ["symbolic links"] : [];
  testWith(test, ...capabilities)(`a record that ${name} is ignored and replaced`, async (t) => {
    const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
    await acquireIn(t, endpoint, directory);
    damage(records(directory)[0]);
    const [after] = await acquireIn(t, endpoint, directory);
    t.false(after.fromCache);
    const [last] = await acquireIn(t, endpoint, directory);
    t.deepEqual([last.token, last.fromCache], [after.token, true]);
    t.is(endpoint.requests.length, 2);
  });
}

/** Files that may be at the path of a lock or a temporary file. */
const OBSTACLES = {
  "a named pipe": (path) => execFileSync("mkfifo", ["-m", "600", path]),
  "a world-writable file": (path) => {
    writeFileSync(path, "");
    chmodSync(path, 0o666);
  },
  "a symbolic link": (path) => symlinkSync(join(path, "..", "..", "elsewhere"), path),
};

for (const [name, create] of Object.entries(OBSTACLES)) {
  for (const extension of ["lock", "tmp"]) {
    testWith(test, "file permissions")(
      `${name} at the path of a record's ${extension} file does not prevent caching`,
      async (t) => {
        const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
        await acquireIn(t, endpoint, directory);
        const [record] = records(directory);
        const path = record.replace(/json$/, extension);
        rmSync(record);
        rmSync(path, { force: true });
        create(path);
        const [acquired] = await acquireIn(t, endpoint, directory);
        const [found] = await acquireIn(t, endpoint, directory);
        t.deepEqual([acquired.fromCache, found.fromCache, found.token], [false, true, acquired.token]);
        t.is(statSync(record).mode & 0o777, 0o600);
        t.false(existsSync(join(directory, "..", "elsewhere")));
      },
    );
  }
}

test("another host, identity, resource or endpoint has its own records", async (t) => {
  const [endpoint, other, directory] = [await startEndpoint(t), await startEndpoint(t), cacheDirectory(t)];
  await acquireIn(t, endpoint, directory);
  const [otherHost] = await acquireIn(t, endpoint, directory, { hostname: "another-host" });
  const [otherEndpoint] = await acquireIn(t, other, directory);
  const [otherResource] = await acquireIn(t, endpoint, directory, { resources: ["https://other.example"] });
  t.deepEqual([otherHost.fromCache, otherEndpoint.fromCache, otherResource.fromCache], [false, false, false]);
  t.is(records(directory).length, 4);
  // A record is invalid at the path of another record.
  const [one, ...others] = records(directory);
  for (const file of others) writeFileSync(file, readFileSync(one));
  const requests = endpoint.requests.length + other.requests.length;
  await acquireIn(t, endpoint, directory, { hostname: "another-host" });
  await acquireIn(t, other, directory);
  await acquireIn(t, endpoint, directory, { resources: ["https://other.example"] });
  await acquireIn(t, endpoint, directory);
  // One of the four finds `one` at its own path.
  t.is(endpoint.requests.length + other.requests.length, requests + 3);
});

test("processes that start concurrently send one request", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const release = endpoint.hold();
  const processes = Array.from({ length: 4 }, () => acquireIn(t, endpoint, directory));
  await endpoint.waitForRequests(1);
  release();
  const reports = await Promise.all(processes);
  t.is(new Set(reports.map(([{ token }]) => token)).size, 1);
  t.is(endpoint.requests.length, 1);
});

test("a process that is killed during its request does not block the next process", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const release = endpoint.hold();
  const argument = { directory, resources: [RESOURCE] };
  const killed = startProcess(t, acquireInTurn, { argument, env: endpoint.env });
  await endpoint.waitForRequests(1);
  killed.child.kill("SIGKILL");
  await killed.ended;
  release();
  await acquireIn(t, endpoint, directory);
  t.is(endpoint.requests.length, 2);
});

testWith(test, "signals")("a stopped lock holder does not block other processes", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const [first] = await acquireIn(t, endpoint, directory);
  const release = endpoint.hold();
  const argument = { directory, resource: RESOURCE };
  const stopped = startProcess(t, replaceEndlessly, { argument, env: endpoint.env });
  await endpoint.waitForRequests(2);
  stopped.child.kill("SIGSTOP");
  const [found] = await acquireIn(t, endpoint, directory);
  t.deepEqual(found, { ...first, fromCache: true, source: "Cache" });
  release();
  rmSync(records(directory)[0]);
  // Half of it is spent on waiting for the lock, and the rest suffices for a request on a busy machine.
  const [acquired] = await acquireIn(t, endpoint, directory, { timeout: 10_000 });
  t.false(acquired.fromCache);
  const [cached] = await acquireIn(t, endpoint, directory);
  t.deepEqual([cached.token, cached.fromCache], [acquired.token, true]);
  t.is(endpoint.requests.length, 3);
});

/** Replaces tokens endlessly, and reports the count every 100 tokens. */
async function replaceEndlessly({ argument: { directory, keys, resource }, native, report }) {
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  for (let count = 0; ; count += 1) {
    const request = { resource: resource ?? `https://${count % keys}.example`, forceRefresh: true };
    await application.acquireToken(request);
    if (count % 100 === 99) report(count);
  }
}

// Files are much slower under Wine.
const WRITES = has("signals") ? 10_000 : 1_000;

test(`kill -9 during ${WRITES} writes by 4 processes leaves a readable cache`, async (t) => {
  t.timeout(120_000);
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const keys = 5;
  const argument = { directory, keys };
  const writers = Array.from({ length: 4 }, () =>
    startProcess(t, replaceEndlessly, { argument, env: endpoint.env }),
  );
  await endpoint.waitForRequests(WRITES);
  for (const { child } of writers) child.kill("SIGKILL");
  for (const { ended } of writers) t.is((await ended).signal, "SIGKILL");
  const before = endpoint.requests.length;
  t.is(records(directory).length, keys);
  const resources = Array.from({ length: keys }, (_, key) => `https://${key}.example`);
  const found = await acquireIn(t, endpoint, directory, { resources });
  t.deepEqual(
    found.map(({ fromCache }) => fromCache),
    resources.map(() => true),
  );
  t.is(endpoint.requests.length, before);
  // Nothing accumulates: per key a record, a lock and at most one temporary file.
  t.true(readdirSync(directory).length <= 3 * keys);
});

test("a record that cannot be written does not affect the current process", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const application = new ManagedIdentityApplication({ cache: { directory } });
  await acquire(endpoint, "https://first.example", application);
  // A directory at the path of a record, which a file cannot replace.
  const [file] = records(directory);
  rmSync(file);
  mkdirSync(file);
  const request = { resource: "https://first.example", forceRefresh: true };
  const { fromCache } = await acquire(endpoint, request, application);
  t.false(fromCache);
  t.is(endpoint.requests.length, 2);
});

test("the disk is not accessed while memory has a fresh token, in any thread", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const application = new ManagedIdentityApplication({ cache: { directory } });
  const first = await acquire(endpoint, RESOURCE, application);
  rmSync(directory, { recursive: true });
  t.is((await acquire(endpoint, RESOURCE, application)).accessToken, first.accessToken);
  const worker = startWorker(t, acquireInTurn, {
    argument: { directory, resources: [RESOURCE] },
    env: endpoint.env,
  });
  t.true((await worker.next()).fromCache);
  t.false(existsSync(directory));
  t.is(endpoint.requests.length, 1);
});

test("after clearCache, a process does not read records from before", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const reports = await runProcess(
    t,
    async ({ argument, native, report }) => {
      const application = new native.ManagedIdentityApplication({ cache: { directory: argument } });
      for (let count = 0; count < 2; count += 1) {
        report((await application.acquireToken("https://a.example")).fromCache);
        native.ManagedIdentityApplication.clearCache();
      }
    },
    { argument: directory, env: endpoint.env },
  );
  t.deepEqual(reports, [false, false]);
  const [next] = await acquireIn(t, endpoint, directory, { resources: ["https://a.example"] });
  t.true(next.fromCache);
});

test("invalid cache options are rejected by name", (t) => {
  const plugin = { beforeCacheAccess: async () => {}, afterCacheAccess: async () => {} };
  for (const [cache, option] of [
    ["/tmp", "cache"],
    [{ directory: 5 }, "cache.directory"],
    [{ directory: "" }, "cache.directory"],
    [{ directory: "relative/path" }, "cache.directory"],
    [{ directory: "/a\0b" }, "cache.directory"],
    [{ directory: "/a", cachePlugin: plugin }, "cache.directory"],
    [{ cachePlugin: 5 }, "cache.cachePlugin"],
    [{ cachePlugin: {} }, "cache.cachePlugin.beforeCacheAccess"],
    [{ cachePlugin: { ...plugin, afterCacheAccess: 5 } }, "cache.cachePlugin.afterCacheAccess"],
  ]) {
    const error = t.throws(() => new ManagedIdentityApplication({ cache }));
    t.is(error.errorCode, "invalid_configuration");
    t.true(error.errorMessage.startsWith(`${option} `), error.message);
  }
  for (const cache of [null, undefined, {}, { directory: null, cachePlugin: undefined }]) {
    t.notThrows(() => withEnvironment({}, () => new ManagedIdentityApplication({ cache })));
  }
});
