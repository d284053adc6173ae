// `cache.directory` and other users: directories that they own on the way to it, and a process that changes its user.

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
import { startEndpoint } from "./support/endpoint.mjs";
import { runProcess } from "./support/program.mjs";

const OTHER_USER = 65_533;
const SWAP = fileURLToPath(new URL("support/swap-directories.c", import.meta.url));

/** Only root can act as another user, and give files away. */
const asRoot = process.getuid?.() === 0 ? test : test.skip;

/** A directory that goes with the test, with the mode 0711: others can pass through it. */
function place(t) {
  const path = mkdtempSync(join(realpathSync(tmpdir()), "disk-cache-users-"));
  chmodSync(path, 0o711);
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A directory with these rights. */
function lay(path, mode, owner = process.getuid()) {
  mkdirSync(path, { recursive: true });
  chownSync(path, owner, owner);
  chmodSync(path, mode);
  return path;
}

/** Gets tokens in a process of its own; reports for each how it came, or the error. */
async function ask({ argument: { directory, resources, user, effectiveUser, back }, native, report }) {
  const application = new native.ManagedIdentityApplication({ cache: { directory } });
  if (user !== undefined) {
    process.setgid(user);
    process.setuid(user);
  }
  if (effectiveUser !== undefined) process.seteuid(effectiveUser);
  if (back !== undefined) {
    await application.acquireToken("https://before.example").catch(() => undefined);
    process.seteuid(back);
  }
  for (const resource of resources) {
    try {
      const { accessToken, fromCache } = await application.acquireToken(resource);
      report({ forged: accessToken === "forged", fromCache });
    } catch (error) {
      report({ code: error.errorCode, message: error.message });
    }
  }
}

async function askIn(t, endpoint, directory, options = {}) {
  const argument = { directory, resources: ["https://a.example"], ...options };
  return runProcess(t, ask, { argument, env: endpoint.env });
}

/** A record whose checksum is right, with another token. */
function forged(text) {
  const record = { ...JSON.parse(text), access_token: "forged" };
  const { version, saved_at_ms, expires_on_ms, refresh_on_ms, key, host, access_token } = record;
  const refreshOn = refresh_on_ms === null ? "None" : `Some(${refresh_on_ms})`;
  const parts = [`${version} ${saved_at_ms} ${expires_on_ms} ${refreshOn}`, key, host, access_token];
  const whole = parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join("");
  return JSON.stringify({ ...record, checksum: createHash("sha256").update(whole).digest("hex") });
}

/** Records of these resources, forged, in a directory of another user's. */
async function layForgeries(t, endpoint, path, resources) {
  const own = join(place(t), "tokens");
  await askIn(t, endpoint, own, { resources });
  lay(path, 0o755, OTHER_USER);
  for (const name of readdirSync(own).filter((name) => name.endsWith(".json"))) {
    const copy = join(path, name);
    writeFileSync(copy, forged(readFileSync(join(own, name), "utf8")), { mode: 0o644 });
    chownSync(copy, OTHER_USER, OTHER_USER);
  }
}

asRoot("a forged record would be taken from a directory that is trusted", async (t) => {
  // Otherwise the tests below would prove nothing.
  const [endpoint, parent] = [await startEndpoint(t), place(t)];
  const directory = join(parent, "tokens");
  await layForgeries(t, endpoint, directory, ["https://a.example"]);
  lay(directory, 0o700);
  t.deepEqual(await askIn(t, endpoint, directory), [{ forged: true, fromCache: true }]);
});

asRoot("no forged token is taken while another user swaps the directory below theirs", async (t) => {
  const program = join(place(t), "swap");
  const compiled = spawnSync("gcc", ["-O1", "-o", program, SWAP], { encoding: "utf8" });
  if (compiled.status !== 0) {
    t.log(`skipped, since the program that swaps cannot be built: ${compiled.error ?? compiled.stderr}`);
    t.pass();
    return;
  }
  const [endpoint, parent] = [await startEndpoint(t), place(t)];
  const resources = Array.from({ length: 400 }, (_, nth) => `https://${nth}.example`);
  const [directory, theirs] = [join(parent, "tokens"), join(parent, "theirs")];
  lay(directory, 0o700);
  await layForgeries(t, endpoint, theirs, resources);
  lay(parent, 0o755, OTHER_USER);
  const swapping = spawn(program, [String(OTHER_USER), directory, theirs], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => swapping.kill("SIGKILL"));
  await once(swapping.stdout, "data");
  const reports = await askIn(t, endpoint, directory, { resources });
  t.is(swapping.exitCode, null);
  t.is(reports.filter(({ forged }) => forged).length, 0);
  for (const { code, message } of reports) {
    t.is(code, "invalid_configuration");
    t.true(message.includes(`lies below ${parent}, which belongs to another user`), message);
  }
});

const untrusted = {
  "another user's directory": (parent) => lay(join(parent, "theirs"), 0o755, OTHER_USER),
  "another user's directory, further up": (parent) => {
    lay(join(parent, "theirs"), 0o755, OTHER_USER);
    return lay(join(parent, "theirs", "own"), 0o700);
  },
  "another user's link in a directory like /tmp": (parent) => {
    const link = join(lay(join(parent, "sticky"), 0o1777), "link");
    symlinkSync(lay(join(parent, "own"), 0o700), link);
    lchownSync(link, OTHER_USER, OTHER_USER);
    return link;
  },
  "a link through another user's directory": (parent) => {
    lay(join(parent, "theirs"), 0o755, OTHER_USER);
    const link = join(parent, "link");
    symlinkSync(lay(join(parent, "theirs", "own"), 0o700), link);
    return link;
  },
};

for (const [name, make] of Object.entries(untrusted)) {
  asRoot(`a directory below ${name} is refused`, async (t) => {
    const [endpoint, parent] = [await startEndpoint(t), place(t)];
    const directory = join(make(parent), "tokens");
    const [{ code, message }] = await askIn(t, endpoint, directory);
    t.is(code, "invalid_configuration");
    t.regex(message, /cache\.directory \(.*\) lies below .*, which belongs to another user/);
    t.false(existsSync(directory));
    t.is(endpoint.requests.length, 0);
  });
}

if (process.platform !== "win32") {
  for (const [mode, isTrusted] of [
    [0o777, false],
    [0o770, false],
    [0o2775, false],
    [0o1777, true],
    [0o755, true],
  ]) {
    test(`a directory below one of the mode ${mode.toString(8)} is ${isTrusted ? "used" : "refused"}`, async (t) => {
      const [endpoint, parent] = [await startEndpoint(t), place(t)];
      const directory = join(lay(join(parent, "shared"), mode), "tokens");
      const [{ code, message }] = await askIn(t, endpoint, directory);
      t.is(existsSync(directory), isTrusted);
      if (isTrusted) return;
      t.is(code, "invalid_configuration");
      t.true(message.includes("to which others may write"), message);
      t.true(message.includes("chmod go-w"), message);
    });
  }
}

const changes = {
  "process.setuid": { user: OTHER_USER },
  "process.seteuid": { effectiveUser: OTHER_USER },
  // The directory of the first user is not that of the second, but nothing is remembered of it.
  "process.seteuid, and back": { effectiveUser: 65_532, back: 0, owner: 0 },
};

for (const [name, { owner = OTHER_USER, ...change }] of Object.entries(changes)) {
  asRoot(`an application that was made as root keeps tokens after ${name}`, async (t) => {
    const [endpoint, parent] = [await startEndpoint(t), place(t)];
    const directory = join(lay(join(parent, "home"), 0o700, owner), "tokens");
    const kept = [];
    for (let run = 0; run < 2; run += 1) kept.push(...(await askIn(t, endpoint, directory, change)));
    t.deepEqual(kept, [
      { forged: false, fromCache: false },
      { forged: false, fromCache: true },
    ]);
    t.is(statSync(directory).uid, owner);
  });
}

asRoot("a directory that root has used is not used after process.setuid", async (t) => {
  const [endpoint, parent] = [await startEndpoint(t), place(t)];
  const directory = join(parent, "tokens");
  await askIn(t, endpoint, directory);
  const [{ code, message }] = await askIn(t, endpoint, directory, { user: OTHER_USER });
  t.is(code, "invalid_configuration");
  t.regex(message, /belongs to another user\.$/);
});
