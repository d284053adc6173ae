// `cache.directory`: what lies there, who is believed, and what processes that share it make of it.

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
import { acquire, RESOURCE, startEndpoint } from "./support/endpoint.mjs";
import { withEnvironment } from "./support/environment.mjs";
import { runProcess, startProcess, startWorker } from "./support/program.mjs";
import { expectError } from "./support/rejection.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");

const isUnix = process.platform !== "win32";

/** A directory that does not exist yet, in one that goes with the test. */
function place(t) {
  const parent = mkdtempSync(join(realpathSync(tmpdir()), "disk-cache-"));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, "tokens");
}

/** The records in a directory. */
function records(directory) {
  return readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(directory, name));
}

/** Gets tokens in a process of its own; reports for each how it came. */
async function askInTurn({ argument, native, require, report }) {
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
}

function ask(t, endpoint, directory, options = {}) {
  const { env, resources = [RESOURCE], ...rest } = options;
  return runProcess(t, askInTurn, {
    argument: { directory, resources, ...rest },
    env: { ...endpoint.env, ...env },
  });
}

test("a later process finds the token as it was, and makes no request", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const [first] = await ask(t, endpoint, directory);
  const [second] = await ask(t, endpoint, directory);
  t.deepEqual([first.fromCache, first.source], [false, "IdentityProvider"]);
  t.deepEqual(second, { ...first, fromCache: true, source: "Cache" });
  t.is(endpoint.requests.length, 1);
});

test("it is off by default", async (t) => {
  const endpoint = await startEndpoint(t);
  const directory = place(t);
  await acquire(endpoint);
  t.false(existsSync(directory));
});

test("what lies there is for the user's eyes only, and says whose it is in no name", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  await ask(t, endpoint, directory);
  const names = readdirSync(directory);
  t.is(names.length, 2);
  for (const name of names) t.regex(name, /^[0-9a-f]{64}\.(json|lock)$/);
  if (!isUnix) return;
  t.is(statSync(directory).mode & 0o777, 0o700);
  for (const name of names) t.is(statSync(join(directory, name)).mode & 0o777, 0o600, name);
});

if (isUnix) {
  const unsafe = {
    "others may look into": (directory) => mkdirSync(directory, { mode: 0o755 }),
    "the group may write to": (directory) => {
      mkdirSync(directory);
      chmodSync(directory, 0o720);
    },
    "is a link": (directory) => {
      mkdirSync(`${directory}-elsewhere`, { mode: 0o700 });
      symlinkSync(`${directory}-elsewhere`, directory);
    },
    "is a link, with a slash": (directory) => {
      mkdirSync(`${directory}-elsewhere`, { mode: 0o700 });
      symlinkSync(`${directory}-elsewhere`, directory);
    },
    "is a file": (directory) => writeFileSync(directory, ""),
    "cannot be made": (directory) => writeFileSync(join(directory, "..", "parent"), ""),
  };
  for (const [name, make] of Object.entries(unsafe)) {
    test(`a directory that ${name} is a clear error, before any request`, async (t) => {
      const [endpoint, directory] = [await startEndpoint(t), place(t)];
      make(directory);
      const paths = {
        "cannot be made": join(directory, "..", "parent", "tokens"),
        "is a link, with a slash": `${directory}/`,
      };
      const path = paths[name] ?? directory;
      const application = new ManagedIdentityApplication({ cache: { directory: path } });
      const error = await expectError(t, acquire(endpoint, `https://${name.length}.example`, application));
      t.is(error.errorCode, "invalid_configuration");
      t.true(error.message.includes("cache.directory"), error.message);
      t.is(endpoint.requests.length, 0);
    });
  }

  (process.getuid() === 0 ? test : test.serial)("a directory of another user's is refused", async (t) => {
    const [endpoint, directory] = [await startEndpoint(t), place(t)];
    mkdirSync(directory, { mode: 0o700 });
    // Root can give it away; anybody else has the root directory, which is root's.
    if (process.getuid() === 0) chownSync(directory, 1, 1);
    const foreign = process.getuid() === 0 ? directory : "/";
    const application = new ManagedIdentityApplication({ cache: { directory: foreign } });
    const error = await expectError(t, acquire(endpoint, "https://foreign.example", application));
    t.regex(error.message, /^invalid_configuration: cache\.directory \(.*\) belongs to another user\.$/);
    t.is(endpoint.requests.length, 0);
  });
}

const damages = {
  "is cut off": (file) => truncateSync(file, statSync(file).size - 1),
  "is empty": (file) => truncateSync(file, 0),
  "is no JSON": (file) => writeFileSync(file, "}"),
  "is another's JSON": (file) => writeFileSync(file, '{"AccessToken":{}}'),
  "has a bit turned": (file) => {
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
  "is of another version": (file) => {
    writeFileSync(file, readFileSync(file, "utf8").replace('"version":1', '"version":2'));
  },
  "is huge": (file) => writeFileSync(file, " ".repeat(3_000_000)),
  "is a link": (file) => {
    writeFileSync(`${file}.real`, readFileSync(file), { mode: 0o600 });
    rmSync(file);
    symlinkSync(`${file}.real`, file);
  },
};

for (const [name, damage] of Object.entries(damages)) {
  if (name === "is a link" && !isUnix) continue;
  test(`a record that ${name} is ignored and replaced`, async (t) => {
    const [endpoint, directory] = [await startEndpoint(t), place(t)];
    await ask(t, endpoint, directory);
    damage(records(directory)[0]);
    const [after] = await ask(t, endpoint, directory);
    t.false(after.fromCache);
    const [last] = await ask(t, endpoint, directory);
    t.deepEqual([last.token, last.fromCache], [after.token, true]);
    t.is(endpoint.requests.length, 2);
  });
}

/** What can lie where a file is locked, or written before it takes its place. */
const obstacles = {
  "a pipe": (path) => execFileSync("mkfifo", ["-m", "600", path]),
  "a file for everybody": (path) => {
    writeFileSync(path, "");
    chmodSync(path, 0o666);
  },
  "a link": (path) => symlinkSync(join(path, "..", "..", "elsewhere"), path),
};

for (const [name, lay] of isUnix ? Object.entries(obstacles) : []) {
  for (const ending of ["lock", "tmp"]) {
    test(`${name} in the place of a record's ${ending} is in nobody's way`, async (t) => {
      const [endpoint, directory] = [await startEndpoint(t), place(t)];
      await ask(t, endpoint, directory);
      const [record] = records(directory);
      const path = record.replace(/json$/, ending);
      rmSync(record);
      rmSync(path, { force: true });
      lay(path);
      const [asked] = await ask(t, endpoint, directory);
      const [found] = await ask(t, endpoint, directory);
      t.deepEqual([asked.fromCache, found.fromCache, found.token], [false, true, asked.token]);
      t.is(statSync(record).mode & 0o777, 0o600);
      t.false(existsSync(join(directory, "..", "elsewhere")));
    });
  }
}

test("another host, identity, resource or endpoint has records of its own", async (t) => {
  const [endpoint, other, directory] = [await startEndpoint(t), await startEndpoint(t), place(t)];
  await ask(t, endpoint, directory);
  const [moved] = await ask(t, endpoint, directory, { hostname: "another-host" });
  const [elsewhere] = await ask(t, other, directory);
  const [something] = await ask(t, endpoint, directory, { resources: ["https://other.example"] });
  t.deepEqual([moved.fromCache, elsewhere.fromCache, something.fromCache], [false, false, false]);
  t.is(records(directory).length, 4);
  // A record that was copied to another one's place is not believed there.
  const [one, ...others] = records(directory);
  for (const file of others) writeFileSync(file, readFileSync(one));
  const requests = endpoint.requests.length + other.requests.length;
  await ask(t, endpoint, directory, { hostname: "another-host" });
  await ask(t, other, directory);
  await ask(t, endpoint, directory, { resources: ["https://other.example"] });
  await ask(t, endpoint, directory);
  // `one` belongs to one of the four, who found it.
  t.is(endpoint.requests.length + other.requests.length, requests + 3);
});

test("processes that start together make one request between them", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const release = endpoint.hold();
  const processes = Array.from({ length: 4 }, () => ask(t, endpoint, directory));
  await endpoint.waitForRequests(1);
  release();
  const reports = await Promise.all(processes);
  t.is(new Set(reports.map(([{ token }]) => token)).size, 1);
  t.is(endpoint.requests.length, 1);
});

test("a process that is killed while it asks is no obstacle for the next", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const release = endpoint.hold();
  const argument = { directory, resources: [RESOURCE] };
  const killed = startProcess(t, askInTurn, { argument, env: endpoint.env });
  await endpoint.waitForRequests(1);
  killed.child.kill("SIGKILL");
  await killed.ended;
  release();
  await ask(t, endpoint, directory);
  t.is(endpoint.requests.length, 2);
});

test("a process that stops while it asks is not waited for if a token is there, and not for long if none is", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const [first] = await ask(t, endpoint, directory);
  const release = endpoint.hold();
  const argument = { directory, resource: RESOURCE };
  const stopped = startProcess(t, replaceForEver, { argument, env: endpoint.env });
  await endpoint.waitForRequests(2);
  stopped.child.kill("SIGSTOP");
  const [found] = await ask(t, endpoint, directory);
  t.deepEqual(found, { ...first, fromCache: true, source: "Cache" });
  release();
  rmSync(records(directory)[0]);
  const [asked] = await ask(t, endpoint, directory, { timeout: 2_000 });
  t.false(asked.fromCache);
  const [kept] = await ask(t, endpoint, directory);
  t.deepEqual([kept.token, kept.fromCache], [asked.token, true]);
  t.is(endpoint.requests.length, 3);
});

/** Replaces tokens without end, and says so now and then. */
async function replaceForEver({ argument: { directory, keys, resource }, native, report }) {
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  for (let count = 0; ; count += 1) {
    const request = { resource: resource ?? `https://${count % keys}.example`, forceRefresh: true };
    await application.acquireToken(request);
    if (count % 100 === 99) report(count);
  }
}

test("kill -9 in the middle of 10,000 writes by 4 processes leaves a cache that the next process reads", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const keys = 5;
  const argument = { directory, keys };
  const writers = Array.from({ length: 4 }, () =>
    startProcess(t, replaceForEver, { argument, env: endpoint.env }),
  );
  await endpoint.waitForRequests(10_000);
  for (const { child } of writers) child.kill("SIGKILL");
  for (const { ended } of writers) t.is((await ended).signal, "SIGKILL");
  const before = endpoint.requests.length;
  t.is(records(directory).length, keys);
  const resources = Array.from({ length: keys }, (_, key) => `https://${key}.example`);
  const found = await ask(t, endpoint, directory, { resources });
  t.deepEqual(
    found.map(({ fromCache }) => fromCache),
    resources.map(() => true),
  );
  t.is(endpoint.requests.length, before);
  // Nothing accumulates: a record, a lock, and at most one unfinished file for each key.
  t.true(readdirSync(directory).length <= 3 * keys);
});

test("a directory that cannot be written to costs the next process a request, and this one nothing", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const application = new ManagedIdentityApplication({ cache: { directory } });
  await acquire(endpoint, "https://first.example", application);
  // A directory in the place of a record, which cannot be replaced by a file.
  const [file] = records(directory);
  rmSync(file);
  mkdirSync(file);
  const request = { resource: "https://first.example", forceRefresh: true };
  const { fromCache } = await acquire(endpoint, request, application);
  t.false(fromCache);
  t.is(endpoint.requests.length, 2);
});

test("the disk is not asked while memory has a fresh token, by whatever thread", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const application = new ManagedIdentityApplication({ cache: { directory } });
  const first = await acquire(endpoint, RESOURCE, application);
  rmSync(directory, { recursive: true });
  t.is((await acquire(endpoint, RESOURCE, application)).accessToken, first.accessToken);
  const worker = startWorker(t, askInTurn, {
    argument: { directory, resources: [RESOURCE] },
    env: endpoint.env,
  });
  t.true((await worker.next()).fromCache);
  t.false(existsSync(directory));
  t.is(endpoint.requests.length, 1);
});

test("clearCache: this process does not read what was kept before", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
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
  const [next] = await ask(t, endpoint, directory, { resources: ["https://a.example"] });
  t.true(next.fromCache);
});

test("options that cannot be are refused by name", (t) => {
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
