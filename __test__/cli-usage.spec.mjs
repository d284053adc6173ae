// The command line itself: help, version, invalid arguments, and a closed pipe.

import { createRequire } from "node:module";
import test from "ava";
import { testWith } from "./support/capabilities.mjs";
import { inTerminal, MAIN, PROGRAM, run, startCommand } from "./support/command-line.mjs";
import { startEndpoint } from "./support/endpoint.mjs";

const require = createRequire(import.meta.url);
const { version, bin } = require("../package.json");
/** The options of each command. */
const OPTIONS = {
  doctor: [
    "resource",
    "client-id",
    "resource-id",
    "object-id",
    "source",
    "azure-proxy",
    "for",
    "probe",
    "timeout",
    "json",
    "help",
  ],
  token: [
    "resource",
    "scope",
    "client-id",
    "resource-id",
    "object-id",
    "source",
    "azure-proxy",
    "timeout",
    "claims",
    "force-refresh",
    "output",
    "help",
  ],
  emulator: [
    "source",
    "host",
    "port",
    "allowed-host",
    "secret",
    "lifetime",
    "tenant-id",
    "any-identity",
    "tokens",
    "tokens-directory",
    "format",
    "background",
    "help",
  ],
};
const COMMANDS = Object.keys(OPTIONS);

test("package.json: bin is the command line", (t) => {
  t.deepEqual(bin, { "managed-identity-native": "dist/cli.js" });
  t.is(require.resolve(`../${bin["managed-identity-native"]}`), MAIN);
});

for (const args of [["--version"], ["-v"], ["version"]]) {
  test(`${args}: prints the version`, async (t) => {
    t.deepEqual(await run(t, args), { code: 0, signal: null, stdout: `${version}\n`, stderr: "" });
  });
}

for (const args of [["--help"], ["-h"], ["help"]]) {
  test(`${args}: prints the commands`, async (t) => {
    const { code, stdout, stderr } = await run(t, args);
    t.deepEqual([code, stderr], [0, ""]);
    for (const command of COMMANDS) t.regex(stdout, new RegExp(`^  ${command} +\\S`, "m"));
  });
}

for (const command of COMMANDS) {
  test(`${command}: every form of help lists every option`, async (t) => {
    const texts = [];
    for (const args of [
      ["help", command],
      [command, "--help"],
      [command, "-h"],
      [command, OPTIONS[command].includes("resource") ? "--resource=a" : "--port=1", "--help"],
    ]) {
      const { code, stdout, stderr } = await run(t, args);
      t.deepEqual([code, stderr], [0, ""]);
      texts.push(stdout);
    }
    t.is(new Set(texts).size, 1);
    const listed = [...texts[0].matchAll(/^ {2}--([a-z-]+)/gm)].map(([, option]) => option);
    t.deepEqual(listed, OPTIONS[command]);
    for (const line of texts[0].split("\n")) t.true(line.length <= 110, line);
  });
}

test("no command: exit 2, and the help goes to stderr", async (t) => {
  const { code, stdout, stderr } = await run(t, []);
  t.deepEqual([code, stdout], [2, ""]);
  t.regex(stderr, /^Usage: managed-identity-native <command>/m);
});

for (const [args, message, help] of [
  [["doctr"], "Unknown command doctr; did you mean doctor?", "--help"],
  [["TOKEN"], "Unknown command TOKEN; did you mean token?", "--help"],
  [
    ["frobnicate"],
    "Unknown command frobnicate. Choose one of doctor, token, emulator, version, help.",
    "--help",
  ],
  [["help", "tokens"], "Unknown command tokens; did you mean token?", "--help"],
  [["--vresion"], "Unknown option --vresion; did you mean --version?", "--help"],
  [
    ["__proto__"],
    "Unknown command __proto__. Choose one of doctor, token, emulator, version, help.",
    "--help",
  ],
  [["doctor", "--resorce", "a"], "Unknown option --resorce; did you mean --resource?", "doctor --help"],
  [["doctor", "--jsno"], "Unknown option --jsno; did you mean --json?", "doctor --help"],
  [
    ["doctor", "--constructor"],
    /^Unknown option --constructor\. Choose one of --resource, /,
    "doctor --help",
  ],
  [["doctor", "-x"], /^Unknown option -x\. Choose one of --resource, /, "doctor --help"],
  [["token", "--clientid", "a"], "Unknown option --clientid; did you mean --client-id?", "token --help"],
  [["doctor", "--json=yes"], "--json takes no value.", "doctor --help"],
  [["doctor", "--resource"], "--resource needs a value: --resource R", "doctor --help"],
  [["doctor", "--resource", "--json"], "--resource needs a value: --resource R", "doctor --help"],
  [["doctor", "--timeout", "5s"], "--timeout must be a whole number, not 5s.", "doctor --help"],
  [["doctor", "--timeout=-1"], "--timeout must be a whole number, not -1.", "doctor --help"],
  [["doctor", "--", "a"], "This command takes no arguments after --.", "doctor --help"],
  [
    ["token", "https://vault.azure.net"],
    "Unexpected argument https://vault.azure.net. A resource follows --resource.",
    "token --help",
  ],
  [["version", "extra"], "Unexpected argument extra. This command takes no arguments.", "version --help"],
  [["token"], "One of the options --resource and --scope is required.", "token --help"],
  [
    ["token", "--resource", "a", "--output", "jsn"],
    "--output must be one of text, json, token, env, not jsn; did you mean json?",
    "token --help",
  ],
  [
    ["emulator", "--source", "Iis"],
    /^--source must be one of AppService, Imds, .*, not Iis; did you mean Imds\?$/,
    "emulator --help",
  ],
  [["token", "-o", "jsn", "--scope", "a"], /^-o must be one of text, json, token, env, /, "token --help"],
  [
    ["token", "--resource", "a", "--scope", "b/.default"],
    "--resource and --scope cannot be combined.",
    "token --help",
  ],
  [
    ["token", "--resource", "a", "--source", "Imds,AppServices"],
    /^--source must be one of AppService, .*, not AppServices; did you mean AppService\?$/,
    "token --help",
  ],
  [["version", "--json"], /^Unknown option --json\. Choose one of --help/, "version --help"],
  [["doctor", "--source", "Imds,"], "--source has an empty entry.", "doctor --help"],
  [["doctor", "--probe", "--for", "https://a"], "--probe and --for cannot be combined.", "doctor --help"],
  [["doctor", "--for", "my-vault"], /^--for must be a URL, such as \S+, not my-vault\./, "doctor --help"],
  [["doctor", "--for", "http://my-vault.vault.azure.net"], /^--for must be an https URL/, "doctor --help"],
  [["doctor", "--for", "https://a:b@a.vault.azure.net"], /^--for must not contain a user/, "doctor --help"],
  [
    ["doctor", "--for", "https://vault.azure.net.example"],
    /^The resource of vault\.azure\.net\.example is not known\. Add it with --resource/,
    "doctor --help",
  ],
  [
    ["emulator", "--source", "AppService,Iis"],
    /^--source must be one of AppService, Imds, .*, not Iis; did you mean Imds\?$/,
    "emulator --help",
  ],
  [
    ["emulator", "--source", "AppService,ServiceFabric"],
    /^--source AppService and ServiceFabric cannot be combined, because clients find both by IDENTITY_ENDPOINT\./,
    "emulator --help",
  ],
  [
    ["emulator", "--source", "Imds,CloudShell", "--port", "65535"],
    /^--port must be an integer/,
    "emulator --help",
  ],
  [["emulator", "--host", "emulator"], /^--host must be an IP address, such as /, "emulator --help"],
  [["emulator", "--allowed-host", "*"], /^--allowed-host must contain host names /, "emulator --help"],
  [
    ["emulator", "--source", "Imds", "--secret", "a"],
    "--secret requires --source AppService or MachineLearning or ServiceFabric.",
    "emulator --help",
  ],
  [["emulator", "--secret", "a b"], /^--secret must have visible ASCII characters only/, "emulator --help"],
  [
    ["emulator", "--tokens", "azure-cli", "--host", "0.0.0.0"],
    /^--secret must be set, with at least 16 characters, because tokens of the Azure CLI are real/,
    "emulator --help",
  ],
  [
    ["emulator", "--source", "Imds", "--tokens", "azure-cli", "--host", "0.0.0.0"],
    /^--host must be a loopback address, because tokens of the Azure CLI are real/,
    "emulator --help",
  ],
  [["emulator", "npm", "start"], "Unexpected argument npm. A command to run follows --.", "emulator --help"],
  [["emulator", "--"], "The command after -- is missing.", "emulator --help"],
  [
    ["emulator", "--background", "--", "ls"],
    /^--background cannot be combined with a command/,
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
    /^--tokens-directory requires --source AzureArc/,
    "emulator --help",
  ],
  [["emulator", "--tenant-id", "foo"], "--tenant-id must be a GUID.", "emulator --help"],
  [
    ["emulator", "--source", "foo"],
    /^--source must be one of AppService, [^.]*WorkloadIdentity, not foo\.$/,
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
  test(`${args.join(" ")}: exit 2 with the reason`, async (t) => {
    const { code, stdout, stderr } = await run(t, args);
    t.deepEqual([code, stdout], [2, ""], stderr);
    const [first, second, ...rest] = stderr.split("\n");
    const actual = first.replace("managed-identity-native: ", "");
    if (typeof message === "string") t.is(actual, message);
    else t.regex(actual, message);
    t.is(second, `Try: managed-identity-native ${help}`);
    t.deepEqual(rest, [""]);
  });
}

for (const [condition, args] of [
  ["an overview", ["--help"]],
  ["the help of a command", ["doctor", "--help"]],
  ["an error", ["doctor", "--for", "http://my-vault.vault.azure.net"]],
  ["an error of a token", ["token", "--resource", "https://vault.azure.net", "--timeout", "1000"]],
  ["a probe", ["doctor", "--probe"]],
]) {
  testWith(test, "util-linux script")(
    `${condition}: is wrapped in a terminal, but not in a pipe`,
    async (t) => {
      const line = `stty cols 70; "$@"`;
      const command = inTerminal(["sh", "-c", line, "sh", ...PROGRAM, ...args]);
      const { stdout } = await startCommand(t, command).ended;
      const lines = stdout.replaceAll("\r", "").trimEnd().split("\n");
      t.true(lines.length > 2);
      // Examples and forms of use are meant to be copied, so they are not wrapped.
      for (const part of lines) t.true(part.length <= 70 || part.includes(" <command> "), part);
      const piped = await run(t, args);
      t.true((piped.stdout + piped.stderr).trimEnd().split("\n").length < lines.length);
    },
  );
}

test("a long invalid argument, which may be a secret: is not repeated in the error", async (t) => {
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

testWith(test, "bash")("the reader of the output ends first: exit 0 without an error", async (t) => {
  const { env } = await startEndpoint(t);
  for (const args of [["doctor"], ["doctor", "--json"], ["token", "--resource", "https://a"], ["--help"]]) {
    const line = `"$@" | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await startCommand(t, ["bash", "-c", line, "bash", ...PROGRAM, ...args], {
      env,
    }).ended;
    t.deepEqual([stdout, stderr], ["0\n", ""], args.join(" "));
  }
});
