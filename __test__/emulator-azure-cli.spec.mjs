// Tokens of the Azure CLI, as the emulator hands them out: what az is given, what is made of what it prints, when
// it runs and when it does not. The az is one of the test's own.

import { createRequire } from "node:module";
import test from "ava";
import { printed, startAzureCli } from "./support/azure-cli.mjs";
import { runProcess } from "./support/program.mjs";

const require = createRequire(import.meta.url);
const { azureCliTokens } = require("managed-identity-native/emulator");
const { commandOf } = require("../emulator/command.js");

const VAULT = "https://vault.azure.net";
const STORAGE = "https://storage.azure.com";
const NOW_SECONDS = () => Math.floor(Date.now() / 1000);

/**
 * Starts a fake az and points this process's PATH at it. Tests here are serial, as they share it.
 */
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

test.serial("az is asked for the resource, and its token comes with its expiry", async (t) => {
  const az = await startAz(t);
  const expiry = NOW_SECONDS() + 3600;
  az.always(() => printed("the-token", expiry));
  t.deepEqual(await azureCliTokens()({ resource: VAULT }), {
    accessToken: "the-token",
    expiresOn: new Date(expiry * 1000),
  });
  t.deepEqual(az.calls[0].args, ["account", "get-access-token", "--resource", VAULT, "--output", "json"]);
});

test.serial("a tenant is passed on, one that is none is refused", async (t) => {
  const az = await startAz(t);
  az.always(() => printed("a", NOW_SECONDS() + 3600));
  await azureCliTokens({ tenantId: "contoso.onmicrosoft.com" })({ resource: VAULT });
  t.deepEqual(az.calls[0].args.slice(4, 6), ["--tenant", "contoso.onmicrosoft.com"]);
  for (const tenantId of ["", "-x", "a b", "a&b", 7]) {
    t.throws(() => azureCliTokens({ tenantId }), { instanceOf: TypeError, message: /"tenantId"/ });
  }
  for (const timeout of [0, 1.5, "1"]) {
    t.throws(() => azureCliTokens({ timeout }), { instanceOf: TypeError, message: /"timeout"/ });
  }
});

test.serial("az is not started with what is no resource", async (t) => {
  const az = await startAz(t);
  const ask = azureCliTokens();
  const odd = [
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
  for (const resource of odd) {
    await t.throwsAsync(ask({ resource }), { message: /^az was not asked/ }, resource);
  }
  t.is(az.calls.length, 0);
  az.always(() => printed("a", NOW_SECONDS() + 3600));
  for (const resource of [
    "00000002-0000-0000-c000-000000000000",
    "api://a-b.c_d~e/f",
    "urn:a:b",
    "https://h:1/p?q=1",
  ]) {
    t.is((await ask({ resource })).accessToken, "a");
    t.is(az.calls.at(-1).args[3], resource);
  }
});

test.serial("callers of one moment share one az; another resource has its own", async (t) => {
  const az = await startAz(t);
  const ask = azureCliTokens();
  const vault = Array.from({ length: 20 }, () => ask({ resource: VAULT }));
  const storage = ask({ resource: STORAGE });
  const [one, other] = [await az.next(), await az.next()];
  t.deepEqual([one, other].map(({ args }) => args[3]).sort(), [STORAGE, VAULT]);
  for (const call of [one, other]) call.answer(printed(`for ${call.args[3]}`, NOW_SECONDS() + 3600));
  const given = await Promise.all([...vault, storage]);
  t.deepEqual(
    given.map(({ accessToken }) => accessToken),
    [...Array(20).fill(`for ${VAULT}`), `for ${STORAGE}`],
  );
  t.is(az.calls.length, 2);
});

test.serial("a token is kept until five minutes before it expires", async (t) => {
  const az = await startAz(t);
  const ask = azureCliTokens();
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  const start = 1_700_000_000_000;
  const expiry = start / 1000 + 3600;
  Date.now = () => start;
  az.always(() => printed(`number ${az.calls.length}`, expiry));
  const names = [];
  for (const seconds of [0, 1, 3299, 3300, 3301]) {
    Date.now = () => start + seconds * 1000;
    names.push((await ask({ resource: VAULT })).accessToken);
  }
  t.deepEqual(names, ["number 1", "number 1", "number 1", "number 2", "number 3"]);
});

test.serial("the expiry as az printed it before 2.54: local time only", async (t) => {
  const az = await startAzureCli(t);
  az.always(() => ({
    stdout: JSON.stringify({
      accessToken: "a",
      expiresOn: "2040-07-01 12:00:00.123456",
      tokenType: "Bearer",
    }),
  }));
  const program = async ({ require: load, report }) => {
    const { azureCliTokens: open } = load("managed-identity-native/emulator");
    report((await open()({ resource: "https://vault.azure.net" })).expiresOn.toISOString());
  };
  for (const [TZ, expected] of [
    ["UTC", "2040-07-01T12:00:00.000Z"],
    ["Asia/Tokyo", "2040-07-01T03:00:00.000Z"],
  ]) {
    t.deepEqual(await runProcess(t, program, { env: { ...az.env, TZ } }), [expected]);
  }
});

for (const [what, answer, expected] of [
  [
    "az's words",
    { code: 1, stderr: "ERROR: Please run 'az login'\n\u001b[0m  to setup account.\n" },
    "az failed: ERROR: Please run 'az login' [0m to setup account.",
  ],
  ["a failure without words", { code: 3 }, "az failed (3)"],
  [
    "words with a token",
    { code: 1, stderr: "bad eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln token" },
    "az failed: bad <redacted> token",
  ],
  ["very many words", { code: 1, stderr: "x".repeat(9000) }, `az failed: ${"x".repeat(500)}`],
  ["no JSON", { stdout: "TOPSECRET" }, "az printed no token with an expiry."],
  ["null", { stdout: "null" }, "az printed no token with an expiry."],
  ["no token", { stdout: '{"expires_on":1}' }, "az printed no token with an expiry."],
  ["no expiry", { stdout: '{"accessToken":"TOPSECRET"}' }, "az printed no token with an expiry."],
]) {
  test.serial(`${what}: an error that is not retried, and not remembered`, async (t) => {
    const az = await startAz(t);
    const ask = azureCliTokens();
    az.always(() => answer);
    const error = await t.throwsAsync(ask({ resource: VAULT }));
    t.is(error.message, expected);
    t.is(error.status, 400);
    az.always(() => printed("later", NOW_SECONDS() + 3600));
    t.is((await ask({ resource: VAULT })).accessToken, "later");
  });
}

test.serial("without az on PATH it says what to install", async (t) => {
  const { PATH } = process.env;
  t.teardown(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = "/nowhere";
  const error = await t.throwsAsync(azureCliTokens()({ resource: VAULT }));
  t.regex(error.message, /^az was not found: install the Azure CLI/);
});

test.serial("an az that takes too long is killed", async (t) => {
  const az = await startAz(t);
  const asked = azureCliTokens({ timeout: 1500 })({ resource: VAULT });
  await t.throwsAsync(asked, { message: "az gave no token within 1500 ms." });
  // On a busy machine it may not have come so far as to call.
  await Promise.all(az.calls.map(({ gone }) => gone));
});

test.serial("an az whose askers have all gone is killed, and the next asker has a new one", async (t) => {
  const az = await startAz(t);
  const ask = azureCliTokens();
  const [one, other] = [new AbortController(), new AbortController()];
  const asked = [
    ask({ resource: VAULT, signal: one.signal }),
    ask({ resource: VAULT, signal: other.signal }),
  ];
  const rejected = Promise.allSettled(asked);
  const call = await az.next();
  one.abort();
  other.abort();
  const later = ask({ resource: VAULT });
  await call.gone;
  (await az.next()).answer(printed("new", NOW_SECONDS() + 3600));
  t.is((await later).accessToken, "new");
  t.deepEqual(
    (await rejected).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  t.is(az.calls.length, 2);
});

test.serial("one asker who goes does not take the token from the others", async (t) => {
  const az = await startAz(t);
  const ask = azureCliTokens();
  const leaving = new AbortController();
  ask({ resource: VAULT, signal: leaving.signal }).catch(() => {});
  const staying = ask({ resource: VAULT });
  const call = await az.next();
  leaving.abort();
  call.answer(printed("still", NOW_SECONDS() + 3600));
  t.is((await staying).accessToken, "still");
});

test("on Windows a script is started by cmd.exe, and nothing in its arguments means anything to that", (t) => {
  const env = { comspec: "C:\\Windows\\system32\\cmd.exe" };
  const line = (...args) => commandOf("az", args, "win32", env).args[3];
  t.deepEqual(commandOf("npm", ["start"], "win32", env), {
    file: env.comspec,
    args: ["/d", "/s", "/c", '"npm start"'],
    options: { windowsVerbatimArguments: true },
  });
  t.is(commandOf("npm", [], "win32", {}).file, "cmd.exe");
  t.is(line("a b"), '"az ^"a b^""');
  t.is(line(""), '"az ^"^""');
  t.is(line("a&b|c>d<e^f%g%!h(i)"), '"az a^&b^|c^>d^<e^^f^%g^%^!h^(i^)"');
  t.is(line('say "hi"'), '"az ^"say \\^"hi\\^"^""');
  t.is(line("C:\\a b\\"), '"az ^"C:\\a b\\\\^""');
  t.is(line('a\\"b'), '"az ^"a\\\\\\^"b^""');
});

test("elsewhere a program is started as it is", (t) => {
  t.deepEqual(commandOf("az", ["a b", "$(id)"], "linux"), {
    file: "az",
    args: ["a b", "$(id)"],
    options: {},
  });
});
