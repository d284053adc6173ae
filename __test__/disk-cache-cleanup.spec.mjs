// `cache.directory`: files that must not be left behind, on a full disk and over time.

import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess, startProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const HOUR_MS = 3_600_000;

function cacheDirectory(t) {
  const parent = mkdtempSync(join(realpathSync(tmpdir()), "disk-cache-cleanup-"));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, "tokens");
}

/** Acquires tokens and reports the files that are in the directory afterwards. */
async function acquireAndList({ argument: { directory, resources }, native, require, report }) {
  const { readdirSync } = require("node:fs");
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  let fromCache = 0;
  for (const resource of resources) {
    if ((await application.acquireToken(resource)).fromCache) fromCache += 1;
  }
  // On a busy machine a call does not wait until its token is written.
  await native.ManagedIdentityApplication.flush({ timeout: 60_000 });
  report({ fromCache, names: readdirSync(directory) });
}

async function runIn(t, endpoint, directory, resources, command = []) {
  const argument = { directory, resources };
  const [report] = await runProcess(t, acquireAndList, { argument, env: endpoint.env, command });
  return report;
}

function resources(count, label = "a") {
  return Array.from({ length: count }, (_, nth) => `https://${label}${nth}.example`);
}

function withExtension(names, extension) {
  return names.filter((name) => name.endsWith(`.${extension}`));
}

function recordId(nth) {
  return nth.toString(16).padStart(64, "0");
}

/** Writes a record that expires after `remaining` milliseconds, as a copy of an existing one. */
function writeRecord(directory, id, left) {
  const [name] = withExtension(readdirSync(directory), "json");
  const record = JSON.parse(readFileSync(join(directory, name), "utf8"));
  const changed = { ...record, expires_on_ms: Date.now() + left };
  writeFileSync(join(directory, `${id}.json`), JSON.stringify(changed), { mode: 0o600 });
}

/** Writes a file that was modified `age` milliseconds ago. */
function writeAgedFile(path, age) {
  writeFileSync(path, "", { mode: 0o600 });
  const then = new Date(Date.now() - age);
  utimesSync(path, then, then);
}

testWith(test, "resource limits")("no temporary file is left if files cannot grow", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const tooLarge = ["sh", "-c", 'ulimit -f 0 && exec "$@"', "sh"];
  const { names } = await runIn(t, endpoint, directory, resources(20), tooLarge);
  t.is(endpoint.requests.length, 20);
  t.deepEqual(withExtension(names, "tmp"), []);
  t.deepEqual(withExtension(names, "json"), []);
});

/** The command prefix that starts a process whose cache directory is a file system of 16 KiB. */
function smallDisk(path) {
  const mount = `mkdir -p '${path}' && mount -t tmpfs -o size=16k,mode=700 none '${path}' && exec "$@"`;
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"];
}

testWith(test, "small disks")("no temporary file is left on a full disk", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  const { names } = await runIn(t, endpoint, directory, resources(20), smallDisk(directory));
  t.is(endpoint.requests.length, 20);
  t.deepEqual(withExtension(names, "tmp"), []);
  const records = withExtension(names, "json").length;
  t.true(records > 0 && records < 20, `${records} records`);
});

test("cleanup removes expired records, locks without a record and old temporary files, and nothing else", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  await runIn(t, endpoint, directory, resources(2));
  const own = readdirSync(directory);
  const [expired, lockOnly, oldTemporary, newTemporary, valid] = [1, 2, 3, 4, 5].map(recordId);
  writeRecord(directory, expired, -1_000);
  writeRecord(directory, valid, HOUR_MS);
  for (const id of [expired, lockOnly, valid]) writeAgedFile(join(directory, `${id}.lock`), 0);
  writeAgedFile(join(directory, `${oldTemporary}.tmp`), HOUR_MS);
  writeAgedFile(join(directory, `${newTemporary}.tmp`), 0);
  writeFileSync(join(directory, "another-file.json"), "{}");

  // A process that finds its tokens in the cache does not clean up.
  const before = readdirSync(directory).length;
  t.is((await runIn(t, endpoint, directory, resources(2))).names.length, before);

  const { names } = await runIn(t, endpoint, directory, resources(1, "b"));
  const left = new Set(names);
  for (const name of [...own, `${newTemporary}.tmp`, `${valid}.json`, "another-file.json"]) {
    t.true(left.delete(name), name);
  }
  t.true(left.delete(`${valid}.lock`));
  t.deepEqual([...left].map((name) => name.slice(64)).sort(), [".json", ".lock"]);
});

testWith(test, "signals")("the lock of a process that is requesting a token is not removed", async (t) => {
  const [endpoint, other, directory] = [await startEndpoint(t), await startEndpoint(t), cacheDirectory(t)];
  await runIn(t, endpoint, directory, resources(1));
  const release = endpoint.hold();
  const argument = { directory, resources: resources(1, "slow") };
  const lockHolder = startProcess(t, acquireAndList, { argument, env: endpoint.env });
  await endpoint.waitForRequests(2);
  const locks = withExtension(readdirSync(directory), "lock");
  t.is(locks.length, 2);
  writeAgedFile(join(directory, `${recordId(1)}.lock`), 0);
  await runIn(t, other, directory, resources(1, "b"));
  t.false(existsSync(join(directory, `${recordId(1)}.lock`)));
  for (const lock of locks) t.true(existsSync(join(directory, lock)), lock);
  release();
  t.is((await lockHolder.ended).code, 0);
  t.is(endpoint.requests.length, 2);
});

test("cleanup is limited in size, and runs at most once an hour in each process", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), cacheDirectory(t)];
  await runIn(t, endpoint, directory, resources(1));
  for (let nth = 0; nth < 150; nth += 1) writeRecord(directory, recordId(nth), -1_000);
  const expired = () => readdirSync(directory).filter((name) => name.startsWith("0000")).length;
  // One process writes two tokens and cleans up only once.
  await runIn(t, endpoint, directory, resources(2, "b"));
  t.true(expired() >= 50 && expired() < 150, `${expired()} remain`);
  for (let run = 0; run < 4 && expired() > 0; run += 1) {
    await runIn(t, endpoint, directory, resources(1, `c${run}`));
  }
  t.is(expired(), 0);
});
