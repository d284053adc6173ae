#!/usr/bin/env node

// The command line's entry point: runs a command and reports its error on stderr and as an exit code.
// docs/command-line.md documents the commands.

import { VERSION } from "../lib/version.js";
import { parseArguments } from "./arguments.js";
import { SERVE_DETACHED, type StartMessage } from "./detached-protocol.js";
import { CliError, InstallationError, UsageError } from "./errors.js";
import { EXIT, PROGRAM } from "./exit-codes.js";
import { commandHelp, overview } from "./help.js";
import { printMessage } from "./messages.js";
import type { Command } from "./options.js";
import { suggestion } from "./suggestions.js";
import { outputWidth } from "./terminal.js";

const SUMMARIES = {
  doctor: "find out which source provides tokens here, and why it fails",
  token: "print an access token, for scripts",
  emulator: "emulate a managed identity endpoint, for a shell or for one command",
  version: "print the version",
} as const;

type CommandName = keyof typeof SUMMARIES;

/** Loads a command. Only the command that runs is loaded, so that `token` does not wait for the emulator's modules. */
const LOADERS: Readonly<Record<CommandName, () => Promise<Command>>> = {
  doctor: async () => (await import("./doctor.js")).doctor,
  token: async () => (await import("./token.js")).token,
  emulator: async () => (await import("./emulator.js")).emulator,
  version: async () => VERSION_COMMAND,
};

const VERSION_COMMAND: Command = {
  usage: [""],
  options: {},
  notes: ["The same as --version."],
  run: async () => print(VERSION),
};

async function main([first, ...rest]: readonly string[]): Promise<number> {
  if (first === "--version" || first === "-v") return print(VERSION);
  if (first === "--help" || first === "-h") return print(overview(SUMMARIES, outputWidth(process.stdout)));
  if (first === "help") return await help(rest[0]);
  if (first === undefined) {
    process.stderr.write(`${overview(SUMMARIES, outputWidth(process.stderr))}\n`);
    return EXIT.usage;
  }
  const name = commandName(first);
  const command = await loadCommand(name);
  try {
    const { values, rest: following } = parseArguments(rest, command);
    if (values.help) return print(commandHelp(name, SUMMARIES[name], command, outputWidth(process.stdout)));
    return await command.run(values, following);
  } catch (error) {
    if (error instanceof UsageError) error.command = name;
    throw error;
  }
}

async function help(argument: string | undefined): Promise<number> {
  if (argument === undefined) return print(overview(SUMMARIES, outputWidth(process.stdout)));
  const name = commandName(argument);
  return print(commandHelp(name, SUMMARIES[name], await loadCommand(name), outputWidth(process.stdout)));
}

/** Loads a command, and with it the add-on. */
async function loadCommand(name: CommandName): Promise<Command> {
  try {
    return await LOADERS[name]();
  } catch (error) {
    throw error instanceof Error ? new InstallationError(error.message, { cause: error }) : error;
  }
}

function commandName(argument: string): CommandName {
  if (isCommandName(argument)) return argument;
  const isOption = argument.startsWith("-");
  const known = isOption ? ["--help", "--version"] : [...Object.keys(SUMMARIES), "help"];
  throw new UsageError(
    `Unknown ${isOption ? "option" : "command"} ${argument}${suggestion(argument, known)}`,
  );
}

function isCommandName(argument: string): argument is CommandName {
  return Object.hasOwn(SUMMARIES, argument);
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return EXIT.success;
}

/** Ignores a closed pipe: a program that reads the output, such as `head`, may end first. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

function reportError(error: unknown): number {
  if (!(error instanceof CliError)) {
    process.stderr.write(`${PROGRAM}: ${error instanceof Error ? (error.stack ?? error) : error}\n`);
    return EXIT.failure;
  }
  if (error instanceof InstallationError) {
    process.stderr.write(`${error.message}\n`); // It begins with the package's name, and its commands are to be copied.
  } else {
    printMessage(error.message);
  }
  if (error instanceof UsageError) {
    const command = error.command === undefined ? "" : ` ${error.command}`;
    process.stderr.write(`Try: ${PROGRAM}${command} --help\n`);
  }
  return error.exitCode;
}

if (process.argv[2] === SERVE_DETACHED && process.send !== undefined) {
  process.once("message", async (settings: StartMessage) => {
    const { serveDetached } = await import("./detached-process.js");
    await serveDetached(settings);
  });
} else {
  ignoreClosedPipe(process.stdout);
  ignoreClosedPipe(process.stderr);
  main(process.argv.slice(2))
    .catch(reportError)
    .then((code) => {
      process.exitCode = code;
    });
}
