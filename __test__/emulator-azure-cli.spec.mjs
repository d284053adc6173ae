// azureCliTokens: the arguments of az, its output, and when it runs. The tests use a fake az.

import { createRequire } from "node:module";
import test from "ava";
import { azOutput, startAzureCli } from "./support/azure-cli.mjs";
import { runProcess } from "./support/child-program.mjs";
import { loadSource } from "./support/source-module.mjs";

const require = createRequire(import.meta.url);
const { azureCliTokens } = require("managed-identity-native/emulator");

const { spawnArguments } = await loadSource("emulator/spawn-arguments");

const VAULT = "https://vault.azure.net";
const STORAGE = "https://storage.azure.com";
const NOW_SECONDS = () => Math.floor(Date.now() / 1000);

/** Starts a fake az and adds it to PATH. The tests are serial, because they share the variable. */
async function startAz(t) {
  const az = await startAzureCli(t);
  const before = Object.fromEntries(Object.keys(az.env).map((name) => [name, process.env[name]]));
  Object.assign(process.env, az.env);
  t.teardown(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  return az;
}

test.serial("a resource: az runs with it, and the token has az's expiry", async (t) => {
  const az = await startAz(t);
  const expiry = NOW_SECONDS() + 3600;
  az.always(() => azOutput("the-token", expiry));
  t.deepEqual(await azureCliTokens()({ resource: VAULT }), {
    accessToken: "the-token",
    expiresOn: new Date(expiry * 1000),
  });
  t.deepEqual(az.calls[0].args, ["account", "get-access-token", "--resource", VAULT, "--output", "json"]);
});

test.serial("tenantId: is passed to az, and an invalid one is a TypeError", async (t) => {
  const az = await startAz(t);
  az.always(() => azOutput("a", NOW_SECONDS() + 3600));
  await azureCliTokens({ tenantId: "contoso.onmicrosoft.com" })({ resource: VAULT });
  t.deepEqual(az.calls[0].args.slice(4, 6), ["--tenant", "contoso.onmicrosoft.com"]);
  for (const tenantId of ["", "-x", "a b", "a&b", 7]) {
    t.throws(() => azureCliTokens({ tenantId }), { instanceOf: TypeError, message: /"tenantId"/ });
  }
  for (const timeout of [0, 1.5, "1"]) {
    t.throws(() => azureCliTokens({ timeout }), { instanceOf: TypeError, message: /"timeout"/ });
  }
});

test.serial("an invalid resource: az is not run", async (t) => {
  const az = await startAz(t);
  const getToken = azureCliTokens();
  const invalid = [
    "",
    "--help",
    "a b",
    'a"b',
    "a&calc",
    "%PATH%",
    "a^b",
    "a|b",
    "a\nb",
    "$(id)",
    "a;b",
    `h${"a".repeat(2048)}`,
  ];
  for (const resource of invalid) {
    await t.throwsAsync(getToken({ resource }), { message: /^az was not run/ }, resource);
  }
  t.is(az.calls.length, 0);
  az.always(() => azOutput("a", NOW_SECONDS() + 3600));
  for (const resource of [
    "00000002-0000-0000-c000-000000000000",
    "api://a-b.c_d~e/f",
    "urn:a:b",
    "https://h:1/p?q=1",
  ]) {
    t.is((await getToken({ resource })).accessToken, "a");
    t.is(az.calls.at(-1).args[3], resource);
  }
});

test.serial("concurrent calls: share one az per resource", async (t) => {
  const az = await startAz(t);
  const getToken = azureCliTokens();
  const vault = Array.from({ length: 20 }, () => getToken({ resource: VAULT }));
  const storage = getToken({ resource: STORAGE });
  const [one, other] = [await az.next(), await az.next()];
  t.deepEqual([one, other].map(({ args }) => args[3]).sort(), [STORAGE, VAULT]);
  for (const call of [one, other]) call.exit(azOutput(`for ${call.args[3]}`, NOW_SECONDS() + 3600));
  const received = await Promise.all([...vault, storage]);
  t.deepEqual(
    received.map(({ accessToken }) => accessToken),
    [...Array(20).fill(`for ${VAULT}`), `for ${STORAGE}`],
  );
  t.is(az.calls.length, 2);
});

test.serial("a token: is cached until five minutes before it expires", async (t) => {
  const az = await startAz(t);
  const getToken = azureCliTokens();
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  const start = 1_700_000_000_000;
  const expiry = start / 1000 + 3600;
  Date.now = () => start;
  az.always(() => azOutput(`number ${az.calls.length}`, expiry));
  const names = [];
  for (const seconds of [0, 1, 3299, 3300, 3301]) {
    Date.now = () => start + seconds * 1000;
    names.push((await getToken({ resource: VAULT })).accessToken);
  }
  t.deepEqual(names, ["number 1", "number 1", "number 1", "number 2", "number 3"]);
});

test.serial("az before 2.54, which prints local time only: the expiry is correct", async (t) => {
  const az = await startAzureCli(t);
  az.always(() => ({
    stdout: JSON.stringify({
      accessToken: "a",
      expiresOn: "2040-07-01 12:00:00.123456",
      tokenType: "Bearer",
    }),
  }));
  const program = async ({ require: load, report }) => {
    const { azureCliTokens: createTokens } = load("managed-identity-native/emulator");
    report((await createTokens()({ resource: "https://vault.azure.net" })).expiresOn.toISOString());
  };
  for (const [TZ, expected] of [
    ["UTC", "2040-07-01T12:00:00.000Z"],
    ["Asia/Tokyo", "2040-07-01T03:00:00.000Z"],
  ]) {
    t.deepEqual(await runProcess(t, program, { env: { ...az.env, TZ } }), [expected]);
  }
});

for (const [condition, output, expected] of [
  [
    "an error message of az",
    { code: 1, stderr: "ERROR: Please run 'az login'\n\u001b[0m  to setup account.\n" },
    "az failed: ERROR: Please run 'az login' [0m to setup account.",
  ],
  ["a failure without a message", { code: 3 }, "az failed (3)"],
  [
    "a message that contains a token",
    { code: 1, stderr: "bad eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln token" },
    "az failed: bad <redacted> token",
  ],
  ["a long message", { code: 1, stderr: "x".repeat(9000) }, `az failed: ${"x".repeat(500)}`],
  ["invalid JSON", { stdout: "TOPSECRET" }, "az printed no token with an expiry."],
  ["null", { stdout: "null" }, "az printed no token with an expiry."],
  ["no token", { stdout: '{"expires_on":1}' }, "az printed no token with an expiry."],
  ["no expiry", { stdout: '{"accessToken":"TOPSECRET"}' }, "az printed no token with an expiry."],
]) {
  test.serial(`${condition}: rejects with status 400, and is not cached`, async (t) => {
    const az = await startAz(t);
    const getToken = azureCliTokens();
    az.always(() => output);
    const error = await t.throwsAsync(getToken({ resource: VAULT }));
    t.is(error.message, expected);
    t.is(error.status, 400);
    az.always(() => azOutput("later", NOW_SECONDS() + 3600));
    t.is((await getToken({ resource: VAULT })).accessToken, "later");
  });
}

test.serial("az is not on PATH: the error says what to install", async (t) => {
  const { PATH } = process.env;
  t.teardown(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = "/nowhere";
  const error = await t.throwsAsync(azureCliTokens()({ resource: VAULT }));
  t.regex(error.message, /^az was not found: install the Azure CLI/);
});

test.serial("az exceeds the timeout: it is killed", async (t) => {
  const az = await startAz(t);
  const pending = azureCliTokens({ timeout: 1500 })({ resource: VAULT });
  await t.throwsAsync(pending, { message: "az returned no token within 1500 ms." });
  // On a busy machine az may have been killed before it connected.
  await Promise.all(az.calls.map(({ gone }) => gone));
});

test.serial("all callers abort: az is killed, and the next call starts another", async (t) => {
  const az = await startAz(t);
  const getToken = azureCliTokens();
  const [one, other] = [new AbortController(), new AbortController()];
  const pending = [
    getToken({ resource: VAULT, signal: one.signal }),
    getToken({ resource: VAULT, signal: other.signal }),
  ];
  const rejected = Promise.allSettled(pending);
  const call = await az.next();
  one.abort();
  other.abort();
  const later = getToken({ resource: VAULT });
  await call.gone;
  (await az.next()).exit(azOutput("new", NOW_SECONDS() + 3600));
  t.is((await later).accessToken, "new");
  t.deepEqual(
    (await rejected).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  t.is(az.calls.length, 2);
});

test.serial("one of two callers aborts: the other receives the token", async (t) => {
  const az = await startAz(t);
  const getToken = azureCliTokens();
  const leaving = new AbortController();
  getToken({ resource: VAULT, signal: leaving.signal }).catch(() => {});
  const staying = getToken({ resource: VAULT });
  const call = await az.next();
  leaving.abort();
  call.exit(azOutput("still", NOW_SECONDS() + 3600));
  t.is((await staying).accessToken, "still");
});

const WINDOWS = {
  comspec: "C:\\Windows\\system32\\cmd.exe",
  Path: 'C:\\Windows\\system32;"C:\\Program Files (x86)\\CLI";;C:\\tools',
  PATHEXT: ".COM;.EXE;.BAT;.CMD;.PY",
};

/** The arguments on a Windows machine that has these files. */
function spawnOnWindows(files, name, args, env = WINDOWS) {
  return spawnArguments(name, args, "win32", env, (path) => files.includes(path));
}

test("spawnArguments on Windows, a script: cmd.exe starts it, with arguments escaped for two passes", (t) => {
  const line = (...args) => spawnOnWindows(["C:\\tools\\az.CMD"], "az", args).args[3];
  t.deepEqual(spawnOnWindows(["C:\\tools\\npm.CMD"], "npm", ["start"]), {
    file: WINDOWS.comspec,
    args: ["/d", "/s", "/c", '"C:\\tools\\npm.CMD start"'],
    options: { windowsVerbatimArguments: true },
  });
  const PATHS = { PATH: "C:\\tools" };
  t.is(spawnOnWindows(["C:\\tools\\npm.CMD"], "npm", [], PATHS).file, "cmd.exe");
  const az = '"C:\\tools\\az.CMD';
  t.is(line("a b"), `${az} ^^^"a b^^^""`);
  t.is(line(""), `${az} ^^^"^^^""`);
  t.is(line("a&b"), `${az} a^^^&b"`);
  t.is(line("|c>d<e^f%g%!h(i)"), `${az} ^^^|c^^^>d^^^<e^^^^f^^^%g^^^%^^^!h^^^(i^^^)"`);
  t.is(line('say "hi"'), `${az} ^^^"say \\^^^"hi\\^^^"^^^""`);
  t.is(line("C:\\a b\\"), `${az} ^^^"C:\\a b\\\\^^^""`);
  t.is(line('a\\"b'), `${az} ^^^"a\\\\\\^^^"b^^^""`);
});

test("spawnArguments on Windows: an executable is started without cmd.exe", (t) => {
  const files = ["C:\\tools\\node.EXE", "C:\\tools\\node.CMD"];
  t.deepEqual(spawnOnWindows(files, "node", ["a&b"]), { file: files[0], args: ["a&b"], options: {} });
  t.is(spawnOnWindows(["C:\\tools\\node.exe"], "C:\\tools\\node.exe", []).file, "C:\\tools\\node.exe");
});

test("spawnArguments on Windows: another file of PATHEXT is started by cmd.exe, whose one pass is escaped", (t) => {
  const line = spawnOnWindows(["C:\\tools\\x.PY"], "x", ["a&b"]).args[3];
  t.is(line, '"C:\\tools\\x.PY a^&b"');
});

test("spawnArguments on Windows: a program is looked for in the current directory, then in PATH", (t) => {
  const installed = "C:\\Program Files (x86)\\CLI\\az.CMD";
  t.is(spawnOnWindows([installed], "az", []).args[3], '"C:\\Program^ Files^ ^(x86^)\\CLI\\az.CMD"');
  t.is(spawnOnWindows([installed, "az.BAT"], "az", []).args[3], '"az.BAT"');
  const env = { ...WINDOWS, NoDefaultCurrentDirectoryInExePath: "1" };
  t.regex(spawnOnWindows([installed, "az.BAT"], "az", [], env).args[3], /CLI\\az\.CMD/);
  t.is(spawnOnWindows(["scripts\\run.CMD"], "scripts/run", []).args[3], '"scripts\\run.CMD"');
});

test("spawnArguments on Windows: a program that does not exist is left for the spawn to fail", (t) => {
  t.deepEqual(spawnOnWindows([], "az", ["a"]), { file: "az", args: ["a"], options: {} });
});

test("spawnArguments on other platforms: the arguments are unchanged", (t) => {
  t.deepEqual(spawnArguments("az", ["a b", "$(id)"], "linux"), {
    file: "az",
    args: ["a b", "$(id)"],
    options: {},
  });
});
