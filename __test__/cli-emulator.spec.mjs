// `emulator`: every source for whoever gets its variables, in each form in which they are printed; how it ends; and
// that it leaves nothing behind. How it runs a command is in cli-emulator-command.spec.mjs. Serial, as each of its
// processes makes a key of its own, which takes a while.

import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import { PROGRAM, run, start, startCommand } from "./support/command-line.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { formats, write } = require("../cli/formats.js");
const emulator = require("managed-identity-native/emulator");

const NAMES = ["AppService", "Imds", "CloudShell", "MachineLearning", "ServiceFabric", "WorkloadIdentity"];
const READY = /answers until Ctrl-C or SIGTERM\.\n/;

/** Starts an emulator; resolves with it and the variables that it printed as JSON, once it listens. */
async function serve(t, args, options) {
  const emulator = start(t, ["emulator", "--format", "json", ...args], options);
  await emulator.saying(READY, "stderr");
  const [json] = await emulator.saying(/^\{[\s\S]*\}\n$/);
  return { ...emulator, variables: JSON.parse(json) };
}

/** The address that variables lead to. */
function addressOf(variables) {
  const [url] = Object.values(variables).filter((value) => value.startsWith("http"));
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

/** Connects to an emulator; the function that it resolves with waits until that has closed and nobody listens. */
async function connect({ host, port }) {
  const socket = net.connect(port, host).on("error", () => {});
  const closed = once(socket, "close");
  await once(socket, "connect");
  return async (t) => {
    await closed;
    const error = await once(net.connect(port, host), "connect").catch((refused) => refused);
    t.is(error.code, "ECONNREFUSED");
  };
}

for (const name of NAMES) {
  test.serial(`${name}: its variables lead to a token`, async (t) => {
    const { variables } = await serve(t, ["--source", name, "--lifetime", "5000"]);
    const args = ["doctor", "--json", "--timeout", "60000"];
    const { stdout } = await run(t, args, { env: variables });
    const { source, token, exitCode } = JSON.parse(stdout);
    t.deepEqual([source, exitCode], [name === "Imds" ? "DefaultToImds" : name, 0]);
    t.is(token.claims.exp - token.claims.iat, 5300);
  });
}

for (const [written, source] of [
  ["app-service", "AppService"],
  ["IMDS", "DefaultToImds"],
  ["workloadidentity", "WorkloadIdentity"],
]) {
  test.serial(`--source ${written} is understood`, async (t) => {
    const { variables } = await serve(t, ["--source", written]);
    const { stdout } = await run(t, ["token", "--resource=api://a", "--output=json"], { env: variables });
    t.is(JSON.parse(stdout).source, source);
  });
}

test.serial("without options it is App Service, on a free port, with tokens of a day", async (t) => {
  const { variables } = await serve(t, []);
  t.deepEqual(Object.keys(variables), ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]);
  const { stdout } = await run(t, ["doctor", "--json", "--timeout", "60000"], { env: variables });
  const { iat, exp } = JSON.parse(stdout).token.claims;
  t.is(exp - iat, 86_700);
});

test.serial("--port and --tenant-id are as asked for; a port that is taken is told", async (t) => {
  const { origin } = await startEndpoint(t);
  const { port } = new URL(origin);
  const taken = await run(t, ["emulator", "--port", port]);
  t.deepEqual([taken.code, taken.stdout], [1, ""]);
  t.regex(
    taken.stderr,
    /^managed-identity-native: The emulator cannot start: .*EADDRINUSE.* a free one is taken\.\n$/,
  );
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const free = server.address().port;
  server.close();
  await once(server, "close");
  const tenant = "0d9ff1a6-7a1c-4c3b-8f8a-4a2b6f1c9e55";
  const { variables } = await serve(t, ["--port", String(free), "--tenant-id", tenant]);
  t.is(addressOf(variables).port, free);
  const { stdout } = await run(t, ["token", "--resource=api://a", "--output=json"], { env: variables });
  t.is(JSON.parse(stdout).tenant, tenant);
});

test.serial("an unknown identity is refused, with --any-identity it is not", async (t) => {
  const id = "11111111-2222-4333-8444-555555555555";
  const args = ["token", "--resource=api://a", "--client-id", id];
  const closed = await serve(t, []);
  for (const _ of [1, 2]) t.is((await run(t, args, { env: closed.variables })).code, 1);
  const open = await serve(t, ["--any-identity"]);
  t.is((await run(t, args, { env: open.variables })).code, 0);
  const said = [];
  for (const { child, ended } of [closed, open]) {
    child.kill("SIGTERM");
    const { stderr } = await ended;
    said.push(stderr.split("\n").filter((line) => line.includes(id)));
  }
  t.deepEqual(
    said.map(({ length }) => length),
    [1, 0],
  );
  t.regex(said[0][0], /has no user-assigned identity .*with --any-identity it takes every id\.$/);
});

test("docs/command-line.md lists the identities that it knows", (t) => {
  const page = readFileSync(new URL("../docs/command-line.md", import.meta.url), "utf8");
  const { tenantId, systemAssignedIdentity, userAssignedIdentity, otherUserAssignedIdentity } = emulator;
  for (const { clientId, objectId, resourceId } of [
    systemAssignedIdentity,
    userAssignedIdentity,
    otherUserAssignedIdentity,
  ]) {
    const [prefix, name] = resourceId.split(/(?<=providers\/)/);
    for (const id of [clientId, objectId, prefix, name, tenantId]) t.true(page.includes(`\`${id}\``), id);
  }
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  test.serial(`${signal} ends it, and its files are gone`, async (t) => {
    const emulator = await serve(t, ["--source", "WorkloadIdentity"]);
    const address = addressOf(emulator.variables);
    const folder = dirname(emulator.variables.AZURE_FEDERATED_TOKEN_FILE);
    t.true(existsSync(folder));
    const over = await connect(address);
    emulator.child.kill(signal);
    const { code, signal: by } = await emulator.ended;
    t.deepEqual([code, by], [0, null]);
    t.false(existsSync(folder));
    await over(t);
  });
}

test.serial("it goes on when nobody reads what it prints", async (t) => {
  const emulator = start(t, ["emulator"]);
  emulator.child.stdout.destroy();
  await emulator.saying(READY, "stderr");
  emulator.child.kill("SIGTERM");
  t.is((await emulator.ended).code, 0);
});

/** Each form, and a program that reads it and prints the variables as JSON. */
const PRINT = "console.log(JSON.stringify(process.env))";
const READERS = {
  bash: (text) => ["bash", "-c", `eval "$0" && "$@"`, text, process.execPath, "-e", PRINT],
  sh: (text) => ["sh", "-c", `eval "$0" && "$@"`, text, process.execPath, "-e", PRINT],
  dotenv: (text, t) => [process.execPath, `--env-file=${fileWith(t, text)}`, "-e", PRINT],
  json: (text) => [process.execPath, "-e", "console.log(JSON.stringify(JSON.parse(process.argv[1])))", text],
};

function fileWith(t, text) {
  const folder = mkdtempSync(join(tmpdir(), "cli-spec-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, ".env"), text);
  return join(folder, ".env");
}

const AWKWARD = {
  PLAIN: "http://127.0.0.1:1/a?b=c",
  BLANKS: "C:\\Program Files\\x y",
  EMPTY: "",
  DOLLAR: "a $HOME `id` $(id) \\ end",
  HASH: "a # b #c",
  DOUBLE: 'say "hi"',
  SINGLE: "it's",
};

for (const [reader, command] of Object.entries(READERS)) {
  test.serial(`${reader} reads every character as it is`, async (t) => {
    const format = reader === "sh" ? "bash" : reader;
    const { code, stdout, stderr } = await startCommand(t, command(write(format, AWKWARD, []), t)).ended;
    t.deepEqual([code, stderr], [0, ""]);
    t.like(JSON.parse(stdout), AWKWARD);
  });
}

test.serial("PowerShell gets single quotes, in which only these are doubled", (t) => {
  t.is(
    write("powershell", { A: "it's $x", B: "b" }, ["C"]),
    "Remove-Item Env:C\n$env:A = 'it''s $x'\n$env:B = 'b'\n",
  );
});

test.serial("there are four formats, and bash is the default", async (t) => {
  t.deepEqual(formats, ["bash", "dotenv", "json", "powershell"]);
  const emulator = start(t, ["emulator"]);
  const [text] = await emulator.saying(/^export IDENTITY_ENDPOINT=http\S+\nexport IDENTITY_HEADER=\w{32}\n$/);
  t.true(text.length > 0);
});

/** What leads away from App Service, although its variables are set. */
const STALE = { IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) };

for (const [reader, command] of Object.entries(READERS).filter(([name]) => name !== "json")) {
  test.serial(`${reader}: a variable that would lead elsewhere is taken away`, async (t) => {
    const format = reader === "sh" ? "bash" : reader;
    const emulator = start(t, ["emulator", "--format", format], { env: STALE });
    await emulator.saying(READY, "stderr");
    const [text] = await emulator.saying(/^[\s\S]*IDENTITY_HEADER.*\n$/);
    // A file of variables does not replace what is set already, as it is here in a shell.
    const env = format === "dotenv" ? {} : STALE;
    const { stdout } = await startCommand(t, command(text, t), { env }).ended;
    const read = JSON.parse(stdout);
    t.falsy(read.IDENTITY_SERVER_THUMBPRINT);
    t.truthy(read.IDENTITY_HEADER);
  });
}

test.serial("a variable that means something else is left alone", async (t) => {
  const env = { AZURE_CLIENT_ID: "a", AZURE_TENANT_ID: "b", MSI_ENDPOINT: "http://127.0.0.1:1/" };
  const { variables } = await serve(t, [], { env });
  t.deepEqual(Object.keys(variables), ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]);
});

test.serial("for IMDS whatever else would be found is taken away", async (t) => {
  const env = {
    ...STALE,
    IDENTITY_ENDPOINT: "http://127.0.0.1:1/",
    IDENTITY_HEADER: "a",
    MSI_ENDPOINT: "http://127.0.0.1:1/",
    MSI_SECRET: "b",
  };
  const { variables } = await serve(t, ["--source", "Imds"], { env });
  const { stdout } = await run(t, ["token", "--resource=api://a", "--output=json"], {
    env: { ...env, ...variables },
  });
  t.is(JSON.parse(stdout).source, "DefaultToImds");
});

for (const [what, env, name] of [
  ["a proxy", { HTTPS_PROXY: "http://127.0.0.1:1" }, "NO_PROXY"],
  ["a proxy with exceptions", { HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "a.example" }, "NO_PROXY"],
  ["curl's names", { https_proxy: "http://127.0.0.1:1", no_proxy: "b.example" }, "no_proxy"],
]) {
  test.serial(`WorkloadIdentity is found past ${what}`, async (t) => {
    const { variables } = await serve(t, ["--source", "WorkloadIdentity"], { env });
    t.is(variables[name], [env[name], "127.0.0.1"].filter(Boolean).join(","));
    const token = await run(t, ["token", "--resource=api://a"], { env: { ...env, ...variables } });
    t.is(token.code, 0, token.stderr);
  });
}

for (const shell of ["bash", "sh"]) {
  test.serial(
    `eval "$(… --background)" in ${shell}: the variables, an emulator that stays, and its process id`,
    async (t) => {
      const script = `
      eval "$("$@" emulator --background --source ServiceFabric)" || exit 9
      echo "$MANAGED_IDENTITY_EMULATOR_PID $IDENTITY_ENDPOINT"
      "$@" token --resource https://vault.azure.net --output json
      echo
      read -r line
      kill "$MANAGED_IDENTITY_EMULATOR_PID"
      read -r line
    `;
      const shellProcess = startCommand(t, [shell, "-c", script, shell, ...PROGRAM], { stdin: "pipe" });
      const [, pid, url] = await shellProcess.saying(/^(\d+) (https:\S+)$/m);
      t.teardown(() => {
        try {
          process.kill(Number(pid), "SIGKILL");
        } catch {
          // It has ended, as it should.
        }
      });
      const [json] = await shellProcess.saying(/\{[\s\S]*\}/);
      t.is(JSON.parse(json).source, "ServiceFabric");
      const { hostname: host, port } = new URL(url);
      const address = { host, port: Number(port) };
      const over = await connect(address);
      shellProcess.child.stdin.write("kill\n");
      await over(t);
      shellProcess.child.stdin.end("\n");
      t.is((await shellProcess.ended).code, 0);
    },
  );
}

test.serial("in the background too, what is wrong is told", async (t) => {
  const { origin } = await startEndpoint(t);
  const { code, stdout, stderr } = await run(t, ["emulator", "--background", "--port", new URL(origin).port]);
  t.deepEqual([code, stdout], [1, ""]);
  t.regex(stderr, /^managed-identity-native: The emulator cannot start: .*EADDRINUSE/);
});

test.serial("msal-node takes it for Azure", async (t) => {
  const { variables } = await serve(t, []);
  const program = `
    const { ManagedIdentityApplication } = require("@azure/msal-node");
    new ManagedIdentityApplication().acquireToken({ resource: "https://vault.azure.net" })
      .then(({ accessToken }) => console.log(accessToken));
  `;
  const { stdout, stderr } = await startCommand(t, [process.execPath, "-e", program], { env: variables })
    .ended;
  t.is(stderr, "");
  t.is(JSON.parse(Buffer.from(stdout.split(".")[1], "base64url")).aud, "https://vault.azure.net");
});
