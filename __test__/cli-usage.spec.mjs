// The command line itself: help, version, what is wrong with an argument, and a reader that goes away.

import { createRequire } from "node:module";
import test from "ava";
import { MAIN, PROGRAM, run, startCommand } from "./support/command-line.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { version, bin } = require("../package.json");
const COMMANDS = ["doctor", "token", "emulator"];

/** The options that a command's table has, and `--help`. */
function optionsOf(command) {
  return ["help", ...Object.keys(require(`../cli/${command}.js`).options)];
}

test("package.json's bin is this program", (t) => {
  t.deepEqual(bin, { "managed-identity-native": "dist/cli.js" });
  t.is(require.resolve(`../${bin["managed-identity-native"]}`), MAIN);
});

for (const args of [["--version"], ["-v"]]) {
  test(`${args} prints the version`, async (t) => {
    t.deepEqual(await run(t, args), { code: 0, signal: null, stdout: `${version}\n`, stderr: "" });
  });
}

for (const args of [["--help"], ["-h"], ["help"]]) {
  test(`${args} prints the commands`, async (t) => {
    const { code, stdout, stderr } = await run(t, args);
    t.deepEqual([code, stderr], [0, ""]);
    for (const command of COMMANDS) t.regex(stdout, new RegExp(`^  ${command} +\\S`, "m"));
  });
}

for (const command of COMMANDS) {
  test(`the help of ${command} names each of its options, wherever it is asked for`, async (t) => {
    const texts = [];
    for (const args of [
      ["help", command],
      [command, "--help"],
      [command, "-h"],
      [command, optionsOf(command).includes("resource") ? "--resource=a" : "--port=1", "--help"],
    ]) {
      const { code, stdout, stderr } = await run(t, args);
      t.deepEqual([code, stderr], [0, ""]);
      texts.push(stdout);
    }
    t.is(new Set(texts).size, 1);
    for (const option of optionsOf(command)) t.regex(texts[0], new RegExp(`^  --${option}\\b`, "m"));
    for (const line of texts[0].split("\n")) t.true(line.length <= 110, line);
  });
}

test("without a command the help goes to stderr, and nothing was done", async (t) => {
  const { code, stdout, stderr } = await run(t, []);
  t.deepEqual([code, stdout], [2, ""]);
  t.regex(stderr, /^Usage: managed-identity-native <command>/m);
});

for (const [args, complaint, help] of [
  [["doctr"], "There is no command doctr; did you mean doctor?", "--help"],
  [["TOKEN"], "There is no command TOKEN; did you mean token?", "--help"],
  [["frobnicate"], "There is no command frobnicate. There are: doctor, token, emulator, help.", "--help"],
  [["help", "tokens"], "There is no command tokens; did you mean token?", "--help"],
  [["--vresion"], "There is no option --vresion; did you mean --version?", "--help"],
  [["__proto__"], "There is no command __proto__. There are: doctor, token, emulator, help.", "--help"],
  [["doctor", "--resorce", "a"], "There is no option --resorce; did you mean --resource?", "doctor --help"],
  [["doctor", "--jsno"], "There is no option --jsno; did you mean --json?", "doctor --help"],
  [
    ["doctor", "--constructor"],
    /^There is no option --constructor\. There are: --resource, /,
    "doctor --help",
  ],
  [["doctor", "-x"], /^There is no option -x\. There are: --resource, /, "doctor --help"],
  [["token", "--clientid", "a"], "There is no option --clientid; did you mean --client-id?", "token --help"],
  [["doctor", "--json=yes"], "--json takes no value.", "doctor --help"],
  [["doctor", "--resource"], "--resource needs a value: --resource R", "doctor --help"],
  [["doctor", "--resource", "--json"], "--resource needs a value: --resource R", "doctor --help"],
  [["doctor", "--timeout", "5s"], "--timeout needs a number, not 5s.", "doctor --help"],
  [["doctor", "--timeout=-1"], "--timeout needs a number, not -1.", "doctor --help"],
  [["doctor", "--", "a"], "Nothing may follow --.", "doctor --help"],
  [
    ["token", "https://vault.azure.net"],
    "What is https://vault.azure.net for? If that was meant: a resource goes behind --resource.",
    "token --help",
  ],
  [["token"], "--resource is missing: what is the token for?", "token --help"],
  [
    ["token", "--resource", "a", "--output", "jsn"],
    "--output is one of text, json, not jsn; did you mean json?",
    "token --help",
  ],
  [
    ["emulator", "--source", "Iis"],
    /^--source is one of AppService, Imds, .*, not Iis; did you mean Imds\?$/,
    "emulator --help",
  ],
  [
    ["emulator", "npm", "start"],
    "What is npm for? If that was meant: a command to run goes behind --.",
    "emulator --help",
  ],
  [["emulator", "--"], "The command behind -- is missing.", "emulator --help"],
  [
    ["emulator", "--background", "--", "ls"],
    /^--background is for an emulator without a command/,
    "emulator --help",
  ],
  [["emulator", "--port", "65536"], /^--port must be an integer from 0 to 65535/, "emulator --help"],
  [["emulator", "--lifetime", "0"], /^--lifetime must be an integer from 1/, "emulator --help"],
  [["emulator", "--background", "--lifetime", "0"], /^--lifetime must be an integer/, "emulator --help"],
  [
    ["emulator", "--tokens", "azure-cli", "--tenant-id", "a b"],
    /^--tenant-id must be a GUID or a domain name/,
    "emulator --help",
  ],
  [
    ["emulator", "--tokens-directory", "/tmp"],
    /^--tokens-directory is for --source AzureArc/,
    "emulator --help",
  ],
  [["emulator", "--tenant-id", "foo"], "--tenant-id must be a GUID.", "emulator --help"],
  [
    ["emulator", "--source", "foo"],
    /^--source is one of AppService, [^.]*WorkloadIdentity, not foo\.$/,
    "emulator --help",
  ],
  [
    ["token", "--resource", "a", "--client-id", ""],
    /^missing_client_id: --client-id is an empty string/,
    "token --help",
  ],
  [
    ["doctor", "--client-id", "a", "--object-id", "b"],
    /^invalid_managed_identity_id_type: Both --client-id and --object-id were given; /,
    "doctor --help",
  ],
  [["doctor", "--timeout", "600001"], /^invalid_configuration: --timeout is 600001/, "doctor --help"],
]) {
  test(`${args.join(" ")}: exit 2, and why`, async (t) => {
    const { code, stdout, stderr } = await run(t, args);
    t.deepEqual([code, stdout], [2, ""], stderr);
    const [first, second, ...rest] = stderr.split("\n");
    const said = first.replace("managed-identity-native: ", "");
    if (typeof complaint === "string") t.is(said, complaint);
    else t.regex(said, complaint);
    t.is(second, `Try: managed-identity-native ${help}`);
    t.deepEqual(rest, [""]);
  });
}

test("what was written is not repeated when it is long: it may be a secret in the wrong place", async (t) => {
  const secret = "s3cret".repeat(10);
  for (const args of [
    ["token", secret],
    ["token", `--${secret}`],
    ["token", "--resource", "a", "--timeout", secret],
  ]) {
    const { code, stderr } = await run(t, args);
    t.is(code, 2);
    t.false(stderr.includes(secret));
  }
});

test("a reader that goes away is no error", async (t) => {
  const { env } = await startEndpoint(t);
  for (const args of [["doctor"], ["doctor", "--json"], ["token", "--resource", "https://a"], ["--help"]]) {
    const line = `"$@" | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await startCommand(t, ["bash", "-c", line, "bash", ...PROGRAM, ...args], {
      env,
    }).ended;
    t.deepEqual([stdout, stderr], ["0\n", ""], args.join(" "));
  }
});
