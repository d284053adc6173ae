// `emulator` without a command: every source with its printed variables in each format, shutdown, and cleanup. The
// emulator with a command is tested in cli-emulator-command.spec.mjs. Serial, because each process generates an RSA key,
// which takes a while.

import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { has, neededBySource, testWith } from "./support/capabilities.mjs";
import { PROGRAM, run, start, startCommand } from "./support/command-line.mjs";
import { startEndpoint } from "./support/endpoint.mjs";
import { ownAddress } from "./support/own-address.mjs";
import { loadSource } from "./support/source-module.mjs";

const require = createRequire(import.meta.url);
const emulator = require("managed-identity-native/emulator");

const { formatNames, formatVariables } = await loadSource("cli/env-formats");

const NAMES = ["AppService", "Imds", "CloudShell", "MachineLearning", "ServiceFabric", "WorkloadIdentity"];
const READY = /listening on \S+(?: and \S+)* until Ctrl-C or SIGTERM\.\n/;

/** Starts an emulator and resolves once it listens, with the process and the variables that it printed as JSON. */
async function serve(t, args, options) {
  const emulator = start(t, ["emulator", "--format", "json", ...args], options);
  await emulator.waitForOutput(READY, "stderr");
  const [json] = await emulator.waitForOutput(/^\{[\s\S]*\}\n$/);
  return { ...emulator, variables: JSON.parse(json) };
}

/** Returns the address of the endpoint that the variables name. */
function addressOf(variables) {
  const [url] = Object.values(variables).filter((value) => value.startsWith("http"));
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

/** Returns the first of `count` adjacent ports that are free at this address. */
async function freePorts(count, host) {
  const servers = [net.createServer().listen(0, host)];
  await once(servers[0], "listening");
  const { port } = servers[0].address();
  let isFree = true;
  for (let offset = 1; offset < count; offset += 1) {
    const server = net.createServer();
    servers.push(server);
    isFree &&= await new Promise((resolve) => {
      server.on("error", () => resolve(false)).listen(port + offset, host, () => resolve(true));
    });
  }
  for (const server of servers.filter(({ listening }) => listening)) {
    server.close();
    await once(server, "close");
  }
  return isFree ? port : freePorts(count, host);
}

/** Connects to an emulator. The returned function waits until it closed the connection and no longer listens. */
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
  testWith(test.serial, ...neededBySource(name))(`${name}: the variables lead to a token`, async (t) => {
    const { variables } = await serve(t, ["--source", name, "--lifetime", "5000"]);
    const args = ["doctor", "--json", "--timeout", "60000"];
    const { stdout } = await run(t, args, { env: variables });
    const { source, token, exitCode } = JSON.parse(stdout);
    t.deepEqual([source, exitCode], [name === "Imds" ? "DefaultToImds" : name, 0]);
    t.is(token.claims.exp - token.claims.iat, 5300);
  });
}

test.serial(
  "several sources: each has an endpoint on the next port, and every client gets a token",
  async (t) => {
    const host = ownAddress();
    const free = await freePorts(3, host);
    const args = ["--source", "AppService,imds,workload-identity", "--host", host, "--port", String(free)];
    const { variables, ...emulator } = await serve(t, args);
    const { IDENTITY_ENDPOINT, AZURE_POD_IDENTITY_AUTHORITY_HOST, AZURE_AUTHORITY_HOST } = variables;
    t.deepEqual(
      [IDENTITY_ENDPOINT, AZURE_POD_IDENTITY_AUTHORITY_HOST, AZURE_AUTHORITY_HOST].map((url) =>
        Number(new URL(url).port),
      ),
      [free, free + 1, free + 2],
    );
    for (const [source, name] of [
      ["AppService", "AppService"],
      ["Imds", "DefaultToImds"],
      ["WorkloadIdentity", "WorkloadIdentity"],
    ]) {
      if (!has(...neededBySource(source))) continue;
      const { stdout } = await run(t, ["token", "--resource=api://a", "-o", "json", "--source", source], {
        env: variables,
      });
      t.is(JSON.parse(stdout).source, name);
    }
    const { stdout } = await run(t, ["token", "--resource=api://a", "-o", "json"], { env: variables });
    t.is(JSON.parse(stdout).source, "AppService", "without an option, the order of detection decides");
    emulator.child.kill("SIGTERM");
    const { code } = await emulator.ended;
    if (has("signals")) t.is(code, 0);
  },
);

test.serial("several sources with --background: kill ends all of them", async (t) => {
  const options = ["--host", ownAddress(), "--background", "--format", "json"];
  const args = ["emulator", "--source", "AppService,Imds", ...options];
  const { code, stdout, stderr } = await run(t, args);
  t.is(code, 0, stderr);
  const variables = JSON.parse(stdout);
  const addresses = [variables.IDENTITY_ENDPOINT, variables.AZURE_POD_IDENTITY_AUTHORITY_HOST].map(
    (url) => new URL(url),
  );
  const expectClosed = await Promise.all(
    addresses.map(({ hostname, port }) => connect({ host: hostname, port: Number(port) })),
  );
  process.kill(Number(variables.MANAGED_IDENTITY_EMULATOR_PID));
  for (const expect of expectClosed) await expect(t);
});

test.serial("several sources: if one cannot start, the others end", async (t) => {
  const { origin } = await startEndpoint(t);
  const port = Number(new URL(origin).port);
  const { code, stdout, stderr } = await run(t, [
    "emulator",
    "--source",
    "Imds,AppService",
    "--port",
    String(port - 1),
  ]);
  t.deepEqual([code, stdout], [1, ""]);
  t.regex(stderr, /EADDRINUSE/);
});

test.serial(
  "--host, --allowed-host and --secret: other containers get a token by their name for it",
  async (t) => {
    const secret = "0123456789abcdef";
    const args = [
      "--host",
      "0.0.0.0",
      "--secret",
      secret,
      "--allowed-host",
      "emulator,a",
      "--allowed-host",
      "b",
    ];
    const { variables } = await serve(t, args);
    t.is(variables.IDENTITY_HEADER, secret);
    const { host, port } = addressOf(variables);
    t.is(host, "127.0.0.1");
    for (const [name, expected] of [
      ["emulator", 200],
      ["a", 200],
      ["b", 200],
      ["c", 403],
    ]) {
      const request = http.get({
        host,
        port,
        path: "/msi/token?api-version=2019-08-01&resource=api%3A%2F%2Fa",
        headers: { Host: `${name}:${port}`, "X-IDENTITY-HEADER": secret },
      });
      const [response] = await once(request, "response");
      response.resume();
      t.is(response.statusCode, expected, name);
    }
  },
);

testWith(
  test.serial,
  "sh",
  "signals",
)("output into a pipe: stderr says how to make eval return", async (t) => {
  const piped = start(t, ["emulator"]);
  await piped.waitForOutput(
    /eval "\$\(…\)" waits until the emulator ends\. Add --background to return at once\.\n/,
    "stderr",
  );
  const directory = mkdtempSync(join(tmpdir(), "cli-spec-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const line = `exec "$@" > ${join(directory, "env")}`;
  const toFile = startCommand(t, ["sh", "-c", line, "sh", ...PROGRAM, "emulator"]);
  await toFile.waitForOutput(READY, "stderr");
  toFile.child.kill("SIGTERM");
  t.false((await toFile.ended).stderr.includes("eval"));
  const { stderr } = await run(t, ["emulator", "--background", "--format", "json"]).then((ended) => {
    process.kill(Number(JSON.parse(ended.stdout).MANAGED_IDENTITY_EMULATOR_PID));
    return ended;
  });
  t.false(stderr.includes("eval"));
});

for (const [written, source] of [
  ["app-service", "AppService"],
  ["IMDS", "DefaultToImds"],
  ["workloadidentity", "WorkloadIdentity"],
]) {
  testWith(test.serial, ...neededBySource(source))(`--source ${written}: is accepted`, async (t) => {
    const { variables } = await serve(t, ["--source", written]);
    const { stdout } = await run(t, ["token", "--resource=api://a", "--output=json"], { env: variables });
    t.is(JSON.parse(stdout).source, source);
  });
}

test.serial("no options: App Service on a free port, with tokens of one day", async (t) => {
  const { variables } = await serve(t, []);
  t.deepEqual(Object.keys(variables), ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]);
  const { stdout } = await run(t, ["doctor", "--json", "--timeout", "60000"], { env: variables });
  const { iat, exp } = JSON.parse(stdout).token.claims;
  t.is(exp - iat, 86_700);
});

test.serial("--port and --tenant-id: are used; a port in use is an error with advice", async (t) => {
  const { origin } = await startEndpoint(t);
  const { port } = new URL(origin);
  const taken = await run(t, ["emulator", "--port", port]);
  t.deepEqual([taken.code, taken.stdout], [1, ""]);
  t.regex(
    taken.stderr,
    /^managed-identity-native: The emulator could not start: .*EADDRINUSE.* Omit --port to use a free port\.\n$/,
  );
  const host = ownAddress();
  const free = await freePorts(1, host);
  const tenant = "0d9ff1a6-7a1c-4c3b-8f8a-4a2b6f1c9e55";
  const { variables } = await serve(t, ["--host", host, "--port", String(free), "--tenant-id", tenant]);
  t.deepEqual(addressOf(variables), { host, port: free });
  const { stdout } = await run(t, ["token", "--resource=api://a", "--output=json"], { env: variables });
  t.is(JSON.parse(stdout).tenant, tenant);
});

test.serial(
  "an unknown identity: is rejected and reported once, but accepted with --any-identity",
  async (t) => {
    const id = "11111111-2222-4333-8444-555555555555";
    const args = ["token", "--resource=api://a", "--client-id", id];
    const closed = await serve(t, []);
    for (const _ of [1, 2]) t.is((await run(t, args, { env: closed.variables })).code, 1);
    const open = await serve(t, ["--any-identity"]);
    t.is((await run(t, args, { env: open.variables })).code, 0);
    const reports = [];
    for (const { child, ended } of [closed, open]) {
      child.kill("SIGTERM");
      const { stderr } = await ended;
      reports.push(stderr.split("\n").filter((line) => line.includes(id)));
    }
    t.deepEqual(
      reports.map(({ length }) => length),
      [1, 0],
    );
    t.regex(
      reports[0][0],
      /unknown user-assigned identity .*With --any-identity the emulator accepts every id\.$/,
    );
  },
);

test.serial("a request with a wrong secret: its reason is printed once", async (t) => {
  const { child, ended, variables } = await serve(t, []);
  const env = { ...variables, IDENTITY_HEADER: "wrong" };
  for (const _ of [1, 2]) t.is((await run(t, ["token", "--resource=api://a"], { env })).code, 1);
  child.kill("SIGTERM");
  const { stderr } = await ended;
  t.is(
    stderr.match(/refuses requests with another secret: the header x-identity-header/g)?.length,
    1,
    stderr,
  );
});

test("docs/command-line.md: lists the emulator's identities", (t) => {
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
  testWith(test.serial, "signals")(`${signal}: ends the emulator and removes its files`, async (t) => {
    const emulator = await serve(t, ["--source", "WorkloadIdentity", "--host", ownAddress()]);
    const address = addressOf(emulator.variables);
    const directory = dirname(emulator.variables.AZURE_FEDERATED_TOKEN_FILE);
    t.true(existsSync(directory));
    const expectClosed = await connect(address);
    emulator.child.kill(signal);
    const { code, signal: by } = await emulator.ended;
    t.deepEqual([code, by], [0, null]);
    t.false(existsSync(directory));
    await expectClosed(t);
  });
}

testWith(test.serial, "signals")(
  "the package is removed while the emulator runs: it responds and ends",
  async (t) => {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const copy = mkdtempSync(join(tmpdir(), "cli-spec-"));
    t.teardown(() => rmSync(copy, { recursive: true, force: true }));
    const addons = readdirSync(root).filter((name) => name.endsWith(".node"));
    cpSync(join(root, "dist"), copy, { recursive: true });
    for (const name of addons) cpSync(join(root, name), join(copy, name));
    const command = [process.execPath, join(copy, "cli.js"), "emulator", "--format", "json"];
    const emulatorProcess = startCommand(t, command);
    await emulatorProcess.waitForOutput(READY, "stderr");
    const [json] = await emulatorProcess.waitForOutput(/^\{[\s\S]*\}\n$/);
    rmSync(copy, { recursive: true });
    t.is((await run(t, ["token", "--resource=api://a"], { env: JSON.parse(json) })).code, 0);
    emulatorProcess.child.kill("SIGTERM");
    t.is((await emulatorProcess.ended).code, 0);
  },
);

testWith(test.serial, "signals")("a closed stdout: does not end the emulator", async (t) => {
  const emulator = start(t, ["emulator"]);
  emulator.child.stdout.destroy();
  await emulator.waitForOutput(READY, "stderr");
  emulator.child.kill("SIGTERM");
  t.is((await emulator.ended).code, 0);
});

/** Prints the environment as JSON. */
const PRINT = "console.log(JSON.stringify(process.env))";
/** By reader: a command that reads formatted variables and prints them as JSON. */
const READERS = {
  bash: (text) => ["bash", "-c", `eval "$0" && "$@"`, text, process.execPath, "-e", PRINT],
  sh: (text) => ["sh", "-c", `eval "$0" && "$@"`, text, process.execPath, "-e", PRINT],
  dotenv: (text, t) => [process.execPath, `--env-file=${fileWith(t, text)}`, "-e", PRINT],
  json: (text) => [process.execPath, "-e", "console.log(JSON.stringify(JSON.parse(process.argv[1])))", text],
};

/** The capability that a reader needs. */
function shellOf(reader) {
  return ["bash", "sh"].includes(reader) ? [reader] : [];
}

function fileWith(t, text) {
  const directory = mkdtempSync(join(tmpdir(), "cli-spec-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, ".env"), text);
  return join(directory, ".env");
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
  testWith(test.serial, ...shellOf(reader))(`${reader}: reads every character unchanged`, async (t) => {
    const format = reader === "sh" ? "bash" : reader;
    const { code, stdout, stderr } = await startCommand(t, command(formatVariables(format, AWKWARD, []), t))
      .ended;
    t.deepEqual([code, stderr], [0, ""]);
    t.like(JSON.parse(stdout), AWKWARD);
  });
}

test.serial("PowerShell: values are in single quotes, with single quotes doubled", (t) => {
  t.is(
    formatVariables("powershell", { A: "it's $x", B: "b" }, ["C"]),
    "Remove-Item Env:C\n$env:A = 'it''s $x'\n$env:B = 'b'\n",
  );
});

test.serial("formats: bash is the default of four", async (t) => {
  t.deepEqual(formatNames, ["bash", "dotenv", "json", "powershell"]);
  const emulator = start(t, ["emulator"]);
  const [text] = await emulator.waitForOutput(
    /^export IDENTITY_ENDPOINT=http\S+\nexport IDENTITY_HEADER=\w{32}\n$/,
  );
  t.true(text.length > 0);
});

/** Selects Service Fabric although the variables of App Service are set. */
const CONFLICTING = { IDENTITY_SERVER_THUMBPRINT: "0".repeat(40) };

for (const [reader, command] of Object.entries(READERS).filter(([name]) => name !== "json")) {
  testWith(test.serial, ...shellOf(reader))(`${reader}: a conflicting variable is unset`, async (t) => {
    const format = reader === "sh" ? "bash" : reader;
    const emulator = start(t, ["emulator", "--format", format], { env: CONFLICTING });
    await emulator.waitForOutput(READY, "stderr");
    const [text] = await emulator.waitForOutput(/^[\s\S]*IDENTITY_HEADER.*\n$/);
    // An env file does not override variables that are already set.
    const env = format === "dotenv" ? {} : CONFLICTING;
    const { stdout } = await startCommand(t, command(text, t), { env }).ended;
    const read = JSON.parse(stdout);
    t.falsy(read.IDENTITY_SERVER_THUMBPRINT);
    t.truthy(read.IDENTITY_HEADER);
  });
}

test.serial("a variable that does not conflict: is left unchanged", async (t) => {
  const env = { AZURE_CLIENT_ID: "a", AZURE_TENANT_ID: "b", MSI_ENDPOINT: "http://127.0.0.1:1/" };
  const { variables } = await serve(t, [], { env });
  t.deepEqual(Object.keys(variables), ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]);
});

test.serial("Imds: the variables of all other sources are unset", async (t) => {
  const env = {
    ...CONFLICTING,
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

for (const [condition, env, name] of [
  ["a proxy", { HTTPS_PROXY: "http://127.0.0.1:1" }, "NO_PROXY"],
  ["a proxy with exceptions", { HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "a.example" }, "NO_PROXY"],
  [
    "a proxy in lower-case variables",
    { https_proxy: "http://127.0.0.1:1", no_proxy: "b.example" },
    "no_proxy",
  ],
]) {
  const capabilities = ["extra trust roots", ...(name === "no_proxy" ? ["case-sensitive variables"] : [])];
  testWith(test.serial, ...capabilities)(
    `WorkloadIdentity with ${condition}: the emulator is exempt from the proxy`,
    async (t) => {
      const { variables } = await serve(t, ["--source", "WorkloadIdentity"], { env });
      // The two spellings are one variable on Windows.
      const set = has("case-sensitive variables") ? variables[name] : (variables[name] ?? variables.no_proxy);
      t.is(set, [env[name], "127.0.0.1"].filter(Boolean).join(","));
      const token = await run(t, ["token", "--resource=api://a"], { env: { ...env, ...variables } });
      t.is(token.code, 0, token.stderr);
    },
  );
}

for (const shell of ["bash", "sh"]) {
  testWith(test.serial, shell)(
    `eval "$(… --background)" in ${shell}: sets the variables and the process id, and leaves the emulator running`,
    async (t) => {
      const script = `
      eval "$("$@" emulator --background --source ServiceFabric --host ${ownAddress()})" || exit 9
      echo "$MANAGED_IDENTITY_EMULATOR_PID $IDENTITY_ENDPOINT"
      "$@" token --resource https://vault.azure.net --output json
      echo
      read -r line
      kill "$MANAGED_IDENTITY_EMULATOR_PID"
      read -r line
    `;
      const shellProcess = startCommand(t, [shell, "-c", script, shell, ...PROGRAM], { stdin: "pipe" });
      const [, pid, url] = await shellProcess.waitForOutput(/^(\d+) (https:\S+)$/m);
      t.teardown(() => {
        try {
          process.kill(Number(pid), "SIGKILL");
        } catch {
          // The process has ended already.
        }
      });
      const [json] = await shellProcess.waitForOutput(/\{[\s\S]*\}/);
      t.is(JSON.parse(json).source, "ServiceFabric");
      const { hostname: host, port } = new URL(url);
      const address = { host, port: Number(port) };
      const expectClosed = await connect(address);
      shellProcess.child.stdin.write("kill\n");
      await expectClosed(t);
      shellProcess.child.stdin.end("\n");
      t.is((await shellProcess.ended).code, 0);
    },
  );
}

test.serial("--background with a port in use: exit 1 with the reason", async (t) => {
  const { origin } = await startEndpoint(t);
  const { code, stdout, stderr } = await run(t, ["emulator", "--background", "--port", new URL(origin).port]);
  t.deepEqual([code, stdout], [1, ""]);
  t.regex(stderr, /^managed-identity-native: The emulator could not start: .*EADDRINUSE/);
});

test.serial("msal-node: acquires a token from the emulator", async (t) => {
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
