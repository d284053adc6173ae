"use strict";

// `emulator`: plays a host of managed identities for whoever is given its variables: a shell, a file, or the command
// that it runs itself.

const { tenantId, userAssignedIdentity, otherUserAssignedIdentity } = require("../emulator/identities.js");
const { startInBackground } = require("./detached-emulator.js");
const { UsageError } = require("./errors.js");
const { formats, write } = require("./env-formats.js");
const { play, settingsFrom, sources, variablesFor } = require("./emulator-runner.js");
const { runCommand } = require("./run-command.js");
const { askedToEnd } = require("./signals.js");
const { EXIT, NAME } = require("./exit-codes.js");

const PID = "MANAGED_IDENTITY_EMULATOR_PID";

const options = {
  source: { type: "string", value: "SOURCE", choices: sources, default: "AppService", says: "what to play" },
  port: {
    type: "string",
    integer: true,
    value: "N",
    says: "the TCP port on 127.0.0.1; without it, one that is free",
  },
  lifetime: {
    type: "string",
    integer: true,
    value: "S",
    says: "how long its tokens live, in seconds; without it, a day",
  },
  "tenant-id": {
    type: "string",
    value: "ID",
    says: `the tenant of its tokens, a GUID (a domain name too, with azure-cli); without it, ${tenantId}, or az's own`,
  },
  "any-identity": {
    type: "boolean",
    says: "take every id for a user-assigned identity, instead of refusing unknown ones",
  },
  tokens: {
    type: "string",
    value: "KIND",
    choices: ["emulated", "azure-cli"],
    default: "emulated",
    says: "whose tokens: signed by the emulator, or real ones of your own az login",
  },
  "tokens-directory": {
    type: "string",
    value: "PATH",
    says: "AzureArc: where the key files go; without it, the agent's own folder, the only one that this package reads",
  },
  format: {
    type: "string",
    value: "FORMAT",
    choices: formats,
    default: "bash",
    says: "how the variables are printed",
  },
  background: { type: "boolean", says: `leave it running and return, with its process id in ${PID}` },
};

async function run(values, command) {
  const settings = settingsFrom(values);
  if (command === undefined)
    return values.background ? await leave(settings, values) : await serve(settings, values);
  if (values.background) throw new UsageError("--background is for an emulator without a command.");
  if (command.length === 0) throw new UsageError("The command behind -- is missing.");
  return await accompany(settings, command);
}

/** Plays until a signal comes. */
async function serve(settings, { format }) {
  const end = askedToEnd();
  const endpoint = await play(settings);
  const { set, unset } = variablesFor(endpoint);
  process.stdout.write(write(format, set, unset));
  process.stderr.write(`${NAME}: ${endpoint.url} answers until Ctrl-C or SIGTERM.\n`);
  await end;
  await endpoint.close();
  return EXIT.done;
}

/** Plays in a process of its own, which is left behind. */
async function leave(settings, { format }) {
  const endpoint = await startInBackground(settings);
  const { set, unset } = variablesFor(endpoint);
  process.stdout.write(write(format, { ...set, [PID]: String(endpoint.pid) }, unset));
  process.stderr.write(`${NAME}: ${endpoint.url} answers until kill ${endpoint.pid}.\n`);
  return EXIT.done;
}

/** Plays for as long as a command runs. */
async function accompany(settings, command) {
  const endpoint = await play(settings);
  try {
    const { set, unset } = variablesFor(endpoint);
    const env = { ...process.env, ...set };
    for (const name of unset) delete env[name];
    return await runCommand(command, env);
  } finally {
    await endpoint.close();
  }
}

module.exports = {
  usage: ["[options]", "[options] -- <command> [arguments]"],
  options,
  takesCommand: true,
  notes: [
    "Without a command it prints the variables by which clients find it, and plays until Ctrl-C or SIGTERM.",
    "With one, it runs it with these variables; the command's exit code is passed on.",
    `It knows the user-assigned client ids ${userAssignedIdentity.clientId} and ${otherUserAssignedIdentity.clientId}.`,
    "",
    "Examples:",
    `  ${NAME} emulator -- npm start`,
    `  ${NAME} emulator --source Imds --tokens azure-cli -- node server.js`,
    `  eval "$(${NAME} emulator --background)"`,
  ],
  run,
};
