// `emulator`: emulates a managed identity endpoint for a shell, for a file of variables, or for a command that it runs.

import { fstatSync } from "node:fs";
import { otherUserAssignedIdentity, tenantId, userAssignedIdentity } from "managed-identity-native/emulator";
import { clientVariables } from "./client-variables.js";
import { startDetachedEmulator } from "./detached-emulator.js";
import { type EmulatorSettings, parseEmulatorOptions, sources, startEmulators } from "./emulator-runner.js";
import { formatNames, formatVariables } from "./env-formats.js";
import { UsageError } from "./errors.js";
import { EXIT, PROGRAM } from "./exit-codes.js";
import { printMessage } from "./messages.js";
import type { Command, OptionTable, Values } from "./options.js";
import { runCommand } from "./run-command.js";
import { waitForShutdownSignal } from "./signals.js";

const PID_VARIABLE = "MANAGED_IDENTITY_EMULATOR_PID";
const PIPE_HINT =
  'the output goes to a pipe, which stays open: eval "$(…)" waits until the emulator ends. Add --background to return ' +
  "at once.";

const options = {
  source: {
    type: "list",
    value: "SOURCE",
    choices: sources,
    default: "AppService",
    description: "the source to emulate, or several, separated by commas",
  },
  host: {
    type: "string",
    value: "ADDRESS",
    description:
      "address to listen on, such as 0.0.0.0 for other containers; with azure-cli that requires --secret; default: 127.0.0.1",
  },
  port: {
    type: "integer",
    value: "N",
    description: "TCP port, of several sources that of the first; default: a free port",
  },
  "allowed-host": {
    type: "list",
    value: "NAME",
    isRepeatable: true,
    description:
      "name under which clients may contact the emulator besides 127.0.0.1 and localhost, such as that of its container; may be repeated",
  },
  secret: {
    type: "string",
    value: "TEXT",
    description: "the secret of AppService, MachineLearning and ServiceFabric; default: a random one",
  },
  lifetime: {
    type: "integer",
    value: "S",
    description: "lifetime of the tokens in seconds; default: one day",
  },
  "tenant-id": {
    type: "string",
    value: "ID",
    description: `tenant of the tokens, a GUID (with azure-cli also a domain name); default: ${tenantId}, or the tenant of az`,
  },
  "any-identity": {
    type: "boolean",
    description: "accept every id as a user-assigned identity; by default unknown ids are rejected",
  },
  tokens: {
    type: "string",
    value: "KIND",
    choices: ["emulated", "azure-cli"],
    default: "emulated",
    description: "tokens signed by the emulator, or real tokens of your az login",
  },
  "tokens-directory": {
    type: "string",
    value: "PATH",
    description:
      "AzureArc: directory of the key files; default: the agent's own, the only one from which this package reads keys",
  },
  format: {
    type: "string",
    value: "FORMAT",
    choices: formatNames,
    default: "bash",
    description: "format of the printed variables",
  },
  background: {
    type: "boolean",
    description: `leave the emulator running and return; ${PID_VARIABLE} is its process id`,
  },
} as const satisfies OptionTable;

type EmulatorCommandValues = Values<typeof options>;

export const emulator: Command<typeof options> = {
  usage: ["[options]", "[options] -- <command> [arguments]"],
  options,
  takesCommand: true,
  notes: [
    "Without a command, prints the environment variables by which clients find the emulator, and runs until Ctrl-C or SIGTERM.",
    "With a command, runs the command with these variables and exits with its exit code.",
    `The user-assigned identities have the client ids ${userAssignedIdentity.clientId} and ${otherUserAssignedIdentity.clientId}.`,
    "",
    "Examples:",
    `  ${PROGRAM} emulator -- npm start`,
    `  ${PROGRAM} emulator --source Imds --tokens azure-cli -- node server.js`,
    `  ${PROGRAM} emulator --source AppService,Imds --host 0.0.0.0 --port 8080 --allowed-host emulator`,
    `  eval "$(${PROGRAM} emulator --background)"`,
  ],
  run,
};

async function run(values: EmulatorCommandValues, command: readonly string[] | undefined): Promise<number> {
  const settings = parseEmulatorOptions(values);
  if (command === undefined) {
    return values.background ? await startInBackground(settings, values) : await serve(settings, values);
  }
  if (values.background) throw new UsageError("--background cannot be combined with a command.");
  const [name, ...args] = command;
  if (name === undefined) throw new UsageError("The command after -- is missing.");
  return await serveCommand(settings, name, args);
}

/** Prints the variables and serves until a signal arrives. */
async function serve(settings: EmulatorSettings, { format }: EmulatorCommandValues): Promise<number> {
  const shutdown = waitForShutdownSignal();
  const endpoints = await startEmulators(settings);
  const { set, unset } = clientVariables(endpoints);
  process.stdout.write(formatVariables(format, set, unset));
  printMessage(`listening on ${endpoints.urls.join(" and ")} until Ctrl-C or SIGTERM.`);
  if (isPipe(process.stdout.fd)) printMessage(PIPE_HINT);
  await shutdown;
  await endpoints.close();
  return EXIT.success;
}

/** Starts the emulator in a process of its own, which stays after this command, and prints the variables. */
async function startInBackground(
  settings: EmulatorSettings,
  { format }: EmulatorCommandValues,
): Promise<number> {
  const endpoints = await startDetachedEmulator(settings);
  const { set, unset } = clientVariables(endpoints);
  const { pid, urls } = endpoints;
  process.stdout.write(formatVariables(format, { ...set, [PID_VARIABLE]: String(pid) }, unset));
  process.stderr.write(`${PROGRAM}: listening on ${urls.join(" and ")}; stop it with: kill ${pid}\n`);
  return EXIT.success;
}

/** Serves as long as a command runs, which gets the variables. */
async function serveCommand(
  settings: EmulatorSettings,
  name: string,
  args: readonly string[],
): Promise<number> {
  const endpoints = await startEmulators(settings);
  try {
    const { set, unset } = clientVariables(endpoints);
    const env = { ...process.env, ...set };
    for (const variable of unset) delete env[variable];
    return await runCommand(name, args, env);
  } finally {
    await endpoints.close();
  }
}

/** Whether a program reads the output, such as a shell that evaluates it. */
function isPipe(descriptor: number): boolean {
  const stats = fstatSync(descriptor);
  return stats.isFIFO() || stats.isSocket();
}
