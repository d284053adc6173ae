// `emulator -- command`: the command's environment, input, output, signals and exit code; Azure Arc, whose files belong
// to root; and tokens of a fake az. Serial, because each process generates an RSA key, which takes a while.

import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import test from "ava";
import { arcDirectories } from "./support/arc-namespace.mjs";
import { azOutput, startAzureCli } from "./support/azure-cli.mjs";
import { neededBySource, testWith } from "./support/capabilities.mjs";
import { runProcess } from "./support/child-program.mjs";
import { inTerminal, MAIN, PROGRAM, run, start, startCommand } from "./support/command-line.mjs";

const require = createRequire(import.meta.url);
const { createCertificate, userAssignedIdentity } = require("managed-identity-native/emulator");

const NODE = process.execPath;
const RESOURCE = "https://vault.azure.net";
const TOKEN = [...PROGRAM, "token", "--resource", RESOURCE];
const NAMES = ["AppService", "Imds", "CloudShell", "MachineLearning", "ServiceFabric", "WorkloadIdentity"];

/** A program that prints "ready" and each signal, and exits with the code on its stdin. */
const SIGNAL_LOGGER = `
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]) {
    process.on(signal, () => console.log("got " + signal));
  }
  process.stdin.on("data", (line) => process.exit(Number(line))).on("end", () => process.exit(9));
  console.log("ready");
`;

/** A module that lets a process get SIGTERM at once when it starts another process. */
const SIGNAL_AFTER_SPAWN = `
  const childProcess = require("node:child_process");
  const { spawn } = childProcess;
  childProcess.spawn = (...args) => {
    const child = spawn(...args);
    process.kill(process.pid, "SIGTERM");
    return child;
  };
`;

for (const name of NAMES) {
  testWith(test.serial, ...neededBySource(name))(
    `${name}: the command gets a token, and the emulator itself prints nothing`,
    async (t) => {
      const { code, stdout, stderr } = await run(t, ["emulator", "--source", name, "--", ...TOKEN]);
      t.deepEqual([code, stderr], [0, ""]);
      t.regex(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    },
  );
}

test.serial("arguments after the command: are passed on unchanged", async (t) => {
  const args = ["--help", "a b", "--", "$HOME", '"'];
  const show = "console.log(JSON.stringify(process.argv.slice(1)))";
  const { stdout } = await run(t, ["emulator", "--", NODE, "-e", show, "x", ...args]);
  t.deepEqual(JSON.parse(stdout), ["x", ...args]);
});

test.serial("the command's environment: is inherited without conflicting variables", async (t) => {
  const env = { OWN: "kept", IDENTITY_SERVER_THUMBPRINT: "0".repeat(40), IDENTITY_HEADER: "old" };
  const show = "console.log(JSON.stringify(process.env))";
  const { stdout } = await run(t, ["emulator", "--", NODE, "-e", show], { env });
  const seen = JSON.parse(stdout);
  t.is(seen.OWN, "kept");
  t.is(seen.IDENTITY_SERVER_THUMBPRINT, undefined);
  t.regex(seen.IDENTITY_HEADER, /^[0-9A-F]{32}$/);
});

/** The variables of a machine that has every source. */
const REAL_MACHINE = {
  IDENTITY_ENDPOINT: "http://127.0.0.1:1/real",
  IDENTITY_HEADER: "real",
  IDENTITY_SERVER_THUMBPRINT: "0".repeat(40),
  IMDS_ENDPOINT: "http://127.0.0.1:1/",
  MSI_ENDPOINT: "http://127.0.0.1:1/real",
  MSI_SECRET: "real",
  AZURE_FEDERATED_TOKEN_FILE: "/real",
  AZURE_TENANT_ID: "tenant",
  AZURE_CLIENT_ID: "client",
};

for (const [name, kept] of [
  ["AppService", ["IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET", "AZURE_FEDERATED_TOKEN_FILE"]],
  ["CloudShell", ["IMDS_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"]],
  ["Imds", []],
  ["Imds,WorkloadIdentity", []],
]) {
  // The client looks for workload identity before IMDS.
  testWith(test.serial, ...name.split(",").flatMap(neededBySource))(
    `${name} on a machine with every source: the variables of earlier sources are deleted`,
    async (t) => {
      const show = "console.log(JSON.stringify(process.env))";
      const { stdout } = await run(t, ["emulator", "--source", name, "--", NODE, "-e", show], {
        env: REAL_MACHINE,
      });
      const seen = JSON.parse(stdout);
      for (const [variable, real] of Object.entries(REAL_MACHINE)) {
        if (variable === "AZURE_TENANT_ID" || variable === "AZURE_CLIENT_ID") continue; // settings of the service itself
        if (kept.includes(variable)) t.is(seen[variable], real, variable);
        else t.not(seen[variable], real, variable);
        t.not(seen[variable], "", variable);
      }
      const { code } = await run(t, ["emulator", "--source", name, "--any-identity", "--", ...TOKEN], {
        env: REAL_MACHINE,
      });
      t.is(code, 0);
    },
  );
}

testWith(test.serial, "extra trust roots")(
  "WorkloadIdentity: the command trusts its own extra roots and the emulator",
  async (t) => {
    const { certificate, origin, close } = await startOwnServer();
    t.teardown(close);
    const directory = mkdtempSync(join(tmpdir(), "cli-spec-"));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const roots = join(directory, "roots.pem");
    // Without a line feed at its end, as some files.
    writeFileSync(roots, certificate.pem.trimEnd());
    const script = `
    const https = require("node:https");
    const { ManagedIdentityApplication } = require(${JSON.stringify(require.resolve("../dist/index.js"))});
    https.get(process.argv[1], (response) => {
      response.resume();
      new ManagedIdentityApplication().acquireToken("https://vault.azure.net").then(
        () => console.log(response.statusCode, "and a token"),
        (error) => console.log(error.message),
      );
    }).on("error", (error) => console.log(error.code));`;
    const command = ["emulator", "--source", "WorkloadIdentity", "--", NODE, "-e", script, origin];
    const { stdout } = await run(t, command, { env: { NODE_EXTRA_CA_CERTS: roots } });
    t.is(stdout, "204 and a token\n");
    const missing = await run(t, command, { env: { NODE_EXTRA_CA_CERTS: join(directory, "missing.pem") } });
    // The message differs between versions of Node.js.
    t.is(missing.stdout, "DEPTH_ZERO_SELF_SIGNED_CERT\n");
  },
);

/** Starts a server with a certificate that only its own root vouches for. */
async function startOwnServer() {
  const certificate = await createCertificate({ subject: "the company's root", key: "RSA-2048" });
  const server = https.createServer({ cert: certificate.pem, key: certificate.keyPem }, (_, outgoing) => {
    outgoing.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { certificate, origin: `https://127.0.0.1:${server.address().port}/`, close };
}

for (const [condition, command, expected, ...capabilities] of [
  ["success", [NODE, "-e", ""], 0],
  ["a failure", [NODE, "-e", "process.exit(7)"], 7],
  ["a command that SIGKILL ends", [NODE, "-e", "process.kill(process.pid, 'SIGKILL')"], 137, "signals"],
  ["a program that does not exist", ["no-such-program"], 127],
  ["a file that is not executable", [require.resolve("../package.json")], 126, "file permissions"],
]) {
  testWith(test.serial, ...capabilities)(`${condition}: exit ${expected}`, async (t) => {
    const { code, signal, stderr } = await run(t, ["emulator", "--", ...command]);
    t.deepEqual([code, signal], [expected, null]);
    t.is(stderr !== "", expected === 126 || expected === 127, stderr);
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]) {
  testWith(test.serial, "signals")(
    `${signal}: is forwarded, and the command decides how to react`,
    async (t) => {
      const args = ["emulator", "--", NODE, "-e", SIGNAL_LOGGER];
      const { child, ended, waitForOutput } = start(t, args, { stdin: "pipe" });
      await waitForOutput(/^ready$/m);
      child.kill(signal);
      await waitForOutput(new RegExp(`^got ${signal}$`, "m"));
      child.stdin.write("5\n");
      const { code, stdout } = await ended;
      t.is(code, 5);
      t.is(stdout, `ready\ngot ${signal}\n`);
    },
  );
}

testWith(test.serial, "signals")("a signal ends the command: the exit code is that of a shell", async (t) => {
  const args = ["emulator", "--", NODE, "-e", "console.log('ready'); process.stdin.resume()"];
  const { child, ended, waitForOutput } = start(t, args, { stdin: "pipe" });
  await waitForOutput(/^ready$/m);
  child.kill("SIGTERM");
  const { code, signal } = await ended;
  t.deepEqual([code, signal], [143, null]);
});

testWith(test.serial, "signals")("a signal while the command starts: is forwarded too", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "signal-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const preload = join(directory, "signal-after-spawn.cjs");
  writeFileSync(preload, SIGNAL_AFTER_SPAWN);
  const args = ["emulator", "--", NODE, "-e", "process.stdin.resume()"];
  const { ended } = start(t, args, { stdin: "pipe", env: { NODE_OPTIONS: `--require=${preload}` } });
  const { code, signal } = await ended;
  t.deepEqual([code, signal], [143, null]);
});

testWith(test.serial, "util-linux script")(
  "Ctrl-C in a terminal: reaches the command once, and its input and output are the terminal's",
  async (t) => {
    const count = `
    let count = 0;
    process.on("SIGINT", () => console.log("got " + (count += 1)));
    process.stdin.on("data", (line) => {
      console.log("in the end " + count);
      process.exit(Number(line));
    });
    console.log("ready " + [process.stdin, process.stdout, process.stderr].map(({ isTTY }) => isTTY));
  `;
    const command = inTerminal([...PROGRAM, "emulator", "--", NODE, "-e", count]);
    const { child, ended, waitForOutput } = startCommand(t, command, { stdin: "pipe" });
    await waitForOutput(/^ready true,true,true\r?$/m);
    child.stdin.write("\u0003");
    await waitForOutput(/got 1/);
    child.stdin.write("\u0003");
    await waitForOutput(/got 2/);
    child.stdin.write("6\n");
    const { code, stdout } = await ended;
    t.is(code, 6);
    t.regex(stdout, /in the end 2/);
  },
);

test.serial("the command's input: is inherited", async (t) => {
  const { child, ended } = start(t, ["emulator", "--", NODE, "-e", "process.stdin.pipe(process.stdout)"], {
    stdin: "pipe",
  });
  child.stdin.end("through");
  t.is((await ended).stdout, "through");
});

test.serial("the command ends: the emulator's files are removed", async (t) => {
  const show = "console.log(process.env.AZURE_FEDERATED_TOKEN_FILE)";
  const { code, stdout } = await run(t, ["emulator", "--source", "WorkloadIdentity", "--", NODE, "-e", show]);
  t.is(code, 0);
  t.true(isAbsolute(stdout.trim()));
  t.false(existsSync(stdout.trim()));
});

const arc = testWith(test.serial, "own directories of Azure Arc");

/** Runs the command line with each of these arguments; reports the outcomes and the files that are left in `directories`. */
function runInTurn({ argument: { main, argumentLists, agent, directories }, require, report }) {
  const { spawnSync } = require("node:child_process");
  const { existsSync, mkdirSync, readdirSync, writeFileSync } = require("node:fs");
  if (agent !== undefined) {
    mkdirSync(require("node:path").dirname(agent), { recursive: true });
    writeFileSync(agent, "");
  }
  for (const args of argumentLists) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
    report({ status, stdout, stderr });
  }
  report(directories.filter((name) => existsSync(name)).flatMap((name) => readdirSync(name)));
}

arc(`AzureArc: token and doctor succeed, and no file is left in the agent's directory`, async (t) => {
  const { command, env, keys, elsewhere } = arcDirectories(t);
  const emulate = ["emulator", "--source", "AzureArc", "--"];
  const argumentLists = [
    [...emulate, ...TOKEN, "--output", "json"],
    [...emulate, ...TOKEN, "--client-id", userAssignedIdentity.clientId],
    [...emulate, ...PROGRAM, "doctor", "--json", "--timeout", "60000"],
  ];
  const argument = { main: MAIN, argumentLists, directories: [dirname(dirname(keys)), elsewhere] };
  const [token, ofIdentity, report, left] = await runProcess(t, runInTurn, { argument, command, env });
  for (const { status, stderr } of [token, ofIdentity, report]) t.deepEqual([status, stderr], [0, ""]);
  t.is(JSON.parse(token.stdout).source, "AzureArc");
  const { source, token: got, variables } = JSON.parse(report.stdout);
  t.deepEqual([source, got.attempts], ["AzureArc", 2]);
  t.deepEqual(
    variables.filter(({ decides }) => decides).map(({ name }) => name),
    ["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"],
  );
  t.deepEqual(left, []);
});

testWith(
  test.serial,
  "own directories of Azure Arc",
  "own variable ProgramFiles",
)("AzureArc: an installed agent is detected, and takes precedence over IMDS", async (t) => {
  const { command, env, agents } = arcDirectories(t);
  const argumentLists = [
    ["doctor", "--timeout", "60000"],
    ["emulator", "--source", "Imds", "--", NODE, "-e", ""],
    ["emulator", "--source", "AzureArc", "--", ...TOKEN],
  ];
  const argument = { main: MAIN, argumentLists, agent: agents[0], directories: [] };
  const [doctor, imds, azureArc] = await runProcess(t, runInTurn, { argument, command, env });
  t.regex(
    doctor.stdout,
    /^Source {6}AzureArc\n {12}because Azure Arc's agent is installed on this machine$/m,
  );
  t.regex(doctor.stdout, /azcmagent show/);
  t.deepEqual([doctor.status, doctor.stderr], [3, ""]);
  t.is(
    imds.stderr,
    "managed-identity-native: this machine itself is a source that takes precedence over Imds.\n",
  );
  t.deepEqual([azureArc.status, azureArc.stderr], [0, ""]);
});

testWith(test.serial, "file permissions")(
  "AzureArc: a directory that cannot be created is an error with advice",
  async (t) => {
    const args = ["emulator", "--source", "AzureArc", "--tokens-directory", "/dev/null/tokens"];
    const { code, stdout, stderr } = await run(t, args);
    t.deepEqual([code, stdout], [1, ""]);
    t.regex(
      stderr,
      /^managed-identity-native: The emulator could not start: ENOTDIR.* Run the emulator as root in a container/,
    );
  },
);

for (const name of NAMES) {
  testWith(test.serial, ...neededBySource(name))(
    `${name} with --tokens azure-cli: returns the developer's token for every identity`,
    async (t) => {
      const az = await startAzureCli(t);
      az.always(() => azOutput("real.developers.token", Math.floor(Date.now() / 1000) + 3600));
      const identityArgs = ["CloudShell", "ServiceFabric"].includes(name)
        ? []
        : ["--client-id", "11111111-2222-4333-8444-555555555555"];
      const args = ["emulator", "--tokens", "azure-cli", "--source", name, "--", ...TOKEN, ...identityArgs];
      const { code, stdout, stderr } = await run(t, args, { env: az.env });
      t.deepEqual([code, stdout, stderr], [0, "real.developers.token\n", ""]);
      t.deepEqual(
        az.calls.map(({ args: azArgs }) => azArgs),
        [["account", "get-access-token", "--resource", RESOURCE, "--output", "json"]],
      );
    },
  );
}

test.serial("azure-cli: --tenant-id is passed to az", async (t) => {
  const az = await startAzureCli(t);
  az.always(() => azOutput("a", Math.floor(Date.now() / 1000) + 3600));
  const args = [
    "emulator",
    "--tokens",
    "azure-cli",
    "--tenant-id",
    "contoso.onmicrosoft.com",
    "--",
    ...TOKEN,
  ];
  t.is((await run(t, args, { env: az.env })).code, 0);
  t.deepEqual(az.calls[0].args.slice(4, 6), ["--tenant", "contoso.onmicrosoft.com"]);
});

/** A program that runs its arguments as a command, twice at once and then once more. */
const THREE_TIMES = `
  const { spawn, spawnSync } = require("node:child_process");
  const [file, ...args] = process.argv.slice(1);
  const run = () => new Promise((resolve) => spawn(file, args, { stdio: "inherit" }).on("close", resolve));
  Promise.all([run(), run()]).then(() => {
    require("node:fs").writeSync(1, "\\nlater\\n");
    spawnSync(file, args, { stdio: "inherit" });
  });
`;

test.serial(
  "azure-cli: concurrent requests share one az, and a later request uses the cached token",
  async (t) => {
    const az = await startAzureCli(t);
    const args = ["emulator", "--tokens", "azure-cli", "--", NODE, "-e", THREE_TIMES, ...TOKEN];
    const { ended } = start(t, args, { env: az.env });
    const call = await az.next();
    call.exit(azOutput("shared", Math.floor(Date.now() / 1000) + 3600));
    const { code, stdout } = await ended;
    t.is(code, 0);
    t.is(stdout, "shared\nshared\n\nlater\nshared\n");
    t.is(az.calls.length, 1);
  },
);

for (const [condition, output, message] of [
  [
    "an error of az",
    { code: 1, stderr: "ERROR: Please run 'az login' to setup account." },
    /az failed: ERROR: Please run 'az login' to setup account/,
  ],
  ["invalid output of az", { stdout: "SECRET" }, /az printed no token with an expiry/],
]) {
  test.serial(`azure-cli: ${condition} reaches the caller, which does not retry`, async (t) => {
    const az = await startAzureCli(t);
    az.always(() => output);
    const args = ["emulator", "--tokens", "azure-cli", "--source", "Imds", "--", ...TOKEN];
    const { code, stdout, stderr } = await run(t, args, { env: az.env });
    t.deepEqual([code, stdout], [1, ""]);
    t.regex(stderr, message);
    t.false(stderr.includes("SECRET"));
    t.is(az.calls.length, 1);
  });
}

test.serial("azure-cli: a missing az is an error with advice", async (t) => {
  const args = ["emulator", "--tokens", "azure-cli", "--", ...TOKEN];
  const { code, stderr } = await run(t, args, { env: { PATH: "/nowhere" } });
  t.is(code, 1);
  t.regex(stderr, /az was not found: install the Azure CLI/);
  const doctor = ["emulator", "--tokens", "azure-cli", "--", ...PROGRAM, "doctor", "--json"];
  const { advice } = JSON.parse((await run(t, doctor, { env: { PATH: "/nowhere" } })).stdout);
  t.regex(advice[0], /^This message comes from the Azure CLI.*az login/);
});

testWith(test.serial, "signals")("azure-cli: a signal during the request ends az as well", async (t) => {
  const az = await startAzureCli(t);
  const args = ["emulator", "--tokens", "azure-cli", "--", ...TOKEN];
  const { child, ended } = start(t, args, { env: az.env });
  const { gone } = await az.next();
  child.kill("SIGTERM");
  t.is((await ended).code, 143);
  await gone;
  t.pass();
});
