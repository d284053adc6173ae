// `cache.directory` and other users: directories above it that belong to other users, and a process that changes its
// user.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const OTHER_USER = 65_533;
const SWAP = fileURLToPath(new URL("support/swap-directories.c", import.meta.url));

/** Only root can act as another user and change the owner of files. */
const asRoot = testWith(test, "root");

/** A directory with mode 0711, through which other users can pass; removed with the test. */
function sharedDirectory(t) {
  const path = mkdtempSync(join(realpathSync(tmpdir()), "disk-cache-ownership-"));
  chmodSync(path, 0o711);
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Creates a directory with this mode and owner. */
function createDirectory(path, mode, owner = process.getuid()) {
  mkdirSync(path, { recursive: true });
  chownSync(path, owner, owner);
  chmodSync(path, mode);
  return path;
}

/** Acquires tokens and reports for each where it came from, or the error. */
async function acquireInTurn({
  argument: { directory, resources, user, effectiveUser, restoredUser },
  native,
  report,
}) {
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  if (user !== undefined) {
    process.setgid(user);
    process.setuid(user);
  }
  if (effectiveUser !== undefined) process.seteuid(effectiveUser);
  if (restoredUser !== undefined) {
    await application.acquireToken("https://before.example").catch(() => undefined);
    process.seteuid(restoredUser);
  }
  for (const resource of resources) {
    try {
      const { accessToken, fromCache } = await application.acquireToken(resource);
      report({ forgeRecord: accessToken === "forged", fromCache });
    } catch (error) {
      report({ code: error.errorCode, message: error.message });
    }
  }
  // On a busy machine a call does not wait until its token is written.
  await native.ManagedIdentityApplication.flush({ timeout: 60_000 });
}

async function runIn(t, endpoint, directory, options = {}) {
  const argument = { directory, resources: ["https://a.example"], ...options };
  return runProcess(t, acquireInTurn, { argument, env: endpoint.env });
}

/** A record with another token and a valid checksum. */
function forgeRecord(text) {
  const record = { ...JSON.parse(text), access_token: "forged" };
  const { version, saved_at_ms, expires_on_ms, refresh_on_ms, key, host, access_token } = record;
  const refreshOn = refresh_on_ms === null ? "None" : `Some(${refresh_on_ms})`;
  const parts = [`${version} ${saved_at_ms} ${expires_on_ms} ${refreshOn}`, key, host, access_token];
  const whole = parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join("");
  return JSON.stringify({ ...record, checksum: createHash("sha256").update(whole).digest("hex") });
}

/** Writes forged records of these resources to a directory of another user. */
async function writeForgeries(t, endpoint, path, resources) {
  const own = join(sharedDirectory(t), "tokens");
  await runIn(t, endpoint, own, { resources });
  createDirectory(path, 0o755, OTHER_USER);
  for (const name of readdirSync(own).filter((name) => name.endsWith(".json"))) {
    const copy = join(path, name);
    writeFileSync(copy, forgeRecord(readFileSync(join(own, name), "utf8")), { mode: 0o644 });
    chownSync(copy, OTHER_USER, OTHER_USER);
  }
}

asRoot("a forged record in a trusted directory is used", async (t) => {
  // This shows that the tests below can fail.
  const [endpoint, parent] = [await startEndpoint(t), sharedDirectory(t)];
  const directory = join(parent, "tokens");
  await writeForgeries(t, endpoint, directory, ["https://a.example"]);
  createDirectory(directory, 0o700);
  t.deepEqual(await runIn(t, endpoint, directory), [{ forgeRecord: true, fromCache: true }]);
});

testWith(
  test,
  "root",
  "C compiler",
)("no forged token is used while the owner of the parent directory swaps the cache directory", async (t) => {
  const program = join(sharedDirectory(t), "swap");
  const compiled = spawnSync("gcc", ["-O1", "-o", program, SWAP], { encoding: "utf8" });
  t.is(compiled.status, 0, compiled.stderr);
  const [endpoint, parent] = [await startEndpoint(t), sharedDirectory(t)];
  const resources = Array.from({ length: 400 }, (_, nth) => `https://${nth}.example`);
  const [directory, foreign] = [join(parent, "tokens"), join(parent, "theirs")];
  createDirectory(directory, 0o700);
  await writeForgeries(t, endpoint, foreign, resources);
  createDirectory(parent, 0o755, OTHER_USER);
  const swapping = spawn(program, [String(OTHER_USER), directory, foreign], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => swapping.kill("SIGKILL"));
  await once(swapping.stdout, "data");
  const reports = await runIn(t, endpoint, directory, { resources });
  t.is(swapping.exitCode, null);
  t.is(reports.filter(({ forgeRecord }) => forgeRecord).length, 0);
  for (const { code, message } of reports) {
    t.is(code, "invalid_configuration");
    t.true(message.includes(`lies below ${parent}, which belongs to another user`), message);
  }
});

const UNTRUSTED_PARENTS = {
  "another user's directory": (parent) => createDirectory(join(parent, "theirs"), 0o755, OTHER_USER),
  "another user's directory, further up": (parent) => {
    createDirectory(join(parent, "theirs"), 0o755, OTHER_USER);
    return createDirectory(join(parent, "theirs", "own"), 0o700);
  },
  "another user's symbolic link in a sticky directory": (parent) => {
    const link = join(createDirectory(join(parent, "sticky"), 0o1777), "link");
    symlinkSync(createDirectory(join(parent, "own"), 0o700), link);
    lchownSync(link, OTHER_USER, OTHER_USER);
    return link;
  },
  "a symbolic link through another user's directory": (parent) => {
    createDirectory(join(parent, "theirs"), 0o755, OTHER_USER);
    const link = join(parent, "link");
    symlinkSync(createDirectory(join(parent, "theirs", "own"), 0o700), link);
    return link;
  },
};

for (const [name, createParent] of Object.entries(UNTRUSTED_PARENTS)) {
  asRoot(`a directory below ${name} is rejected`, async (t) => {
    const [endpoint, parent] = [await startEndpoint(t), sharedDirectory(t)];
    const directory = join(createParent(parent), "tokens");
    const [{ code, message }] = await runIn(t, endpoint, directory);
    t.is(code, "invalid_configuration");
    t.regex(message, /cache\.directory \(.*\) lies below .*, which belongs to another user/);
    t.false(existsSync(directory));
    t.is(endpoint.requests.length, 0);
  });
}

for (const [mode, isTrusted] of [
  [0o777, false],
  [0o770, false],
  [0o2775, false],
  [0o1777, true],
  [0o755, true],
]) {
  testWith(test, "file permissions")(
    `a directory below one with mode ${mode.toString(8)} is ${isTrusted ? "used" : "rejected"}`,
    async (t) => {
      const [endpoint, parent] = [await startEndpoint(t), sharedDirectory(t)];
      const directory = join(createDirectory(join(parent, "shared"), mode), "tokens");
      const [{ code, message }] = await runIn(t, endpoint, directory);
      t.is(existsSync(directory), isTrusted);
      if (isTrusted) return;
      t.is(code, "invalid_configuration");
      t.true(message.includes("to which others may write"), message);
      t.true(message.includes("chmod go-w"), message);
    },
  );
}

const USER_CHANGES = {
  "process.setuid": { user: OTHER_USER },
  "process.seteuid": { effectiveUser: OTHER_USER },
  // The first user does not own the directory of the second; that result must not be remembered.
  "process.seteuid, and back": { effectiveUser: 65_532, restoredUser: 0, owner: 0 },
};

for (const [name, { owner = OTHER_USER, ...change }] of Object.entries(USER_CHANGES)) {
  asRoot(`an application created by root stores tokens after ${name}`, async (t) => {
    const [endpoint, parent] = [await startEndpoint(t), sharedDirectory(t)];
    const directory = join(createDirectory(join(parent, "home"), 0o700, owner), "tokens");
    const reports = [];
    for (let run = 0; run < 2; run += 1) reports.push(...(await runIn(t, endpoint, directory, change)));
    t.deepEqual(reports, [
      { forgeRecord: false, fromCache: false },
      { forgeRecord: false, fromCache: true },
    ]);
    t.is(statSync(directory).uid, owner);
  });
}

asRoot("a directory that root has used is rejected after process.setuid", async (t) => {
  const [endpoint, parent] = [await startEndpoint(t), sharedDirectory(t)];
  const directory = join(parent, "tokens");
  await runIn(t, endpoint, directory);
  const [{ code, message }] = await runIn(t, endpoint, directory, { user: OTHER_USER });
  t.is(code, "invalid_configuration");
  t.regex(message, /belongs to another user\.$/);
});
