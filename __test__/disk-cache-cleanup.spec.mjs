// `cache.directory`: what is not left behind there, on a full disk and in the long run.

import { spawnSync } from "node:child_process";
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
import { startEndpoint } from "./support/endpoint.mjs";
import { runProcess, startProcess } from "./support/program.mjs";

const HOUR_MS = 3_600_000;

function place(t) {
  const parent = mkdtempSync(join(realpathSync(tmpdir()), "disk-cache-cleanup-"));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, "tokens");
}

/** Gets tokens in a process of its own; reports what lies in the directory then. */
async function ask({ argument: { directory, resources }, native, require, report }) {
  const { readdirSync } = require("node:fs");
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  let fromCache = 0;
  for (const resource of resources) {
    if ((await application.acquireToken(resource)).fromCache) fromCache += 1;
  }
  report({ fromCache, names: readdirSync(directory) });
}

async function askIn(t, endpoint, directory, resources, command = []) {
  const argument = { directory, resources };
  const [report] = await runProcess(t, ask, { argument, env: endpoint.env, command });
  return report;
}

function named(count, label = "a") {
  return Array.from({ length: count }, (_, nth) => `https://${label}${nth}.example`);
}

function ending(names, wanted) {
  return names.filter((name) => name.endsWith(`.${wanted}`));
}

function entryOf(nth) {
  return nth.toString(16).padStart(64, "0");
}

/** A record that expires so many milliseconds from now, made of one that is there. */
function layRecord(directory, entry, left) {
  const [name] = ending(readdirSync(directory), "json");
  const record = JSON.parse(readFileSync(join(directory, name), "utf8"));
  const changed = { ...record, expires_on_ms: Date.now() + left };
  writeFileSync(join(directory, `${entry}.json`), JSON.stringify(changed), { mode: 0o600 });
}

/** A file that was last written to so many milliseconds ago. */
function layFile(path, age) {
  writeFileSync(path, "", { mode: 0o600 });
  const then = new Date(Date.now() - age);
  utimesSync(path, then, then);
}

if (process.platform !== "win32") {
  const tooLarge = ["sh", "-c", 'ulimit -f 0 && exec "$@"', "sh"];
  test("no unfinished file is left where files may not grow", async (t) => {
    const [endpoint, directory] = [await startEndpoint(t), place(t)];
    const { names } = await askIn(t, endpoint, directory, named(20), tooLarge);
    t.is(endpoint.requests.length, 20);
    t.deepEqual(ending(names, "tmp"), []);
    t.deepEqual(ending(names, "json"), []);
  });
}

/** What to put before the command of a process whose directory is a disk of 16 KiB. */
function smallDisk(path) {
  const mount = `mkdir -p '${path}' && mount -t tmpfs -o size=16k,mode=700 none '${path}' && exec "$@"`;
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"];
}

function reasonAgainstDisks() {
  if (process.getuid?.() !== 0) return "only root owns the directories above it there";
  const path = mkdtempSync(join(tmpdir(), "small-disk-"));
  const [command, ...rest] = smallDisk(path);
  const { status, error, stderr } = spawnSync(command, [...rest, "true"], { encoding: "utf8" });
  rmSync(path, { recursive: true });
  return status === 0 ? undefined : `no mount namespace: ${error ?? stderr}`;
}

const noDisks = reasonAgainstDisks();
(noDisks === undefined ? test : test.skip)("no unfinished file is left on a full disk", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  const { names } = await askIn(t, endpoint, directory, named(20), smallDisk(directory));
  t.is(endpoint.requests.length, 20);
  t.deepEqual(ending(names, "tmp"), []);
  const records = ending(names, "json").length;
  t.true(records > 0 && records < 20, `${records} records`);
});

test("expired records, locks without a record and old unfinished files are removed, and nothing else", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  await askIn(t, endpoint, directory, named(2));
  const own = readdirSync(directory);
  const [expired, lockOnly, half, writing, valid] = [1, 2, 3, 4, 5].map(entryOf);
  layRecord(directory, expired, -1_000);
  layRecord(directory, valid, HOUR_MS);
  for (const entry of [expired, lockOnly, valid]) layFile(join(directory, `${entry}.lock`), 0);
  layFile(join(directory, `${half}.tmp`), HOUR_MS);
  layFile(join(directory, `${writing}.tmp`), 0);
  writeFileSync(join(directory, "of-the-user.json"), "{}");

  // Whoever finds a token does not clean.
  const before = readdirSync(directory).length;
  t.is((await askIn(t, endpoint, directory, named(2))).names.length, before);

  const { names } = await askIn(t, endpoint, directory, named(1, "b"));
  const left = new Set(names);
  for (const name of [...own, `${writing}.tmp`, `${valid}.json`, "of-the-user.json"]) {
    t.true(left.delete(name), name);
  }
  const isUnix = process.platform !== "win32";
  t.is(left.delete(`${valid}.lock`), true);
  t.is(left.delete(`${lockOnly}.lock`), !isUnix);
  left.delete(isUnix ? "" : `${expired}.lock`);
  t.deepEqual([...left].map((name) => name.slice(64)).sort(), [".json", ".lock"]);
});

(process.platform === "win32" ? test.skip : test)(
  "the lock of a process that asks for a token is not removed",
  async (t) => {
    const [endpoint, other, directory] = [await startEndpoint(t), await startEndpoint(t), place(t)];
    await askIn(t, endpoint, directory, named(1));
    const release = endpoint.hold();
    const argument = { directory, resources: named(1, "slow") };
    const asking = startProcess(t, ask, { argument, env: endpoint.env });
    await endpoint.waitForRequests(2);
    const locks = ending(readdirSync(directory), "lock");
    t.is(locks.length, 2);
    layFile(join(directory, `${entryOf(1)}.lock`), 0);
    await askIn(t, other, directory, named(1, "b"));
    t.false(existsSync(join(directory, `${entryOf(1)}.lock`)));
    for (const lock of locks) t.true(existsSync(join(directory, lock)), lock);
    release();
    t.is((await asking.ended).code, 0);
    t.is(endpoint.requests.length, 2);
  },
);

test("cleaning is limited each time, and each process does it once an hour at most", async (t) => {
  const [endpoint, directory] = [await startEndpoint(t), place(t)];
  await askIn(t, endpoint, directory, named(1));
  for (let nth = 0; nth < 150; nth += 1) layRecord(directory, entryOf(nth), -1_000);
  const expired = () => readdirSync(directory).filter((name) => name.startsWith("0000")).length;
  // Two tokens are written by one process, and only the first time something is removed.
  await askIn(t, endpoint, directory, named(2, "b"));
  t.true(expired() >= 50 && expired() < 150, `${expired()} are left`);
  for (let run = 0; run < 4 && expired() > 0; run += 1) {
    await askIn(t, endpoint, directory, named(1, `c${run}`));
  }
  t.is(expired(), 0);
});
