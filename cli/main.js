#!/usr/bin/env node
"use strict";

// The command line's entry point: runs a command and reports its error on stderr and as an exit code.
// docs/command-line.md documents the commands.

const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { parseArguments, suggestion } = require("./arguments.js");
const { SERVE_DETACHED, serveDetached } = require("./detached-emulator.js");
const { CliError, UsageError } = require("./errors.js");
const { EXIT, PROGRAM } = require("./exit-codes.js");
const { commandHelp, overview } = require("./help.js");

const SUMMARIES = {
  doctor: "find out which source provides tokens here, and why it fails",
  token: "print an access token, for scripts",
  emulator: "emulate a managed identity endpoint, for a shell or for one command",
};

/** Loads a command: `usage`, `options`, `notes` and `run(values, rest)`, which resolves with the exit code. */
const LOADERS = {
  // Only the command that runs is loaded, so that `token` does not wait for the emulator's modules.
  doctor: () => require("./doctor.js"),
  token: () => require("./token.js"),
  emulator: () => require("./emulator.js"),
};

async function main([first, ...rest]) {
  if (first === "--version" || first === "-v") return print(version());
  if (first === "--help" || first === "-h") return print(overview(SUMMARIES));
  if (first === "help" && rest.length === 0) return print(overview(SUMMARIES));
  if (first === "help") return print(commandHelp(rest[0], SUMMARIES[rest[0]], loadCommand(rest[0])));
  if (first === undefined) {
    process.stderr.write(`${overview(SUMMARIES)}\n`);
    return EXIT.usage;
  }
  const command = loadCommand(first);
  try {
    const { values, rest: following } = parseArguments(rest, command);
    if (values.help) return print(commandHelp(first, SUMMARIES[first], command));
    return await command.run(values, following);
  } catch (error) {
    if (error instanceof UsageError) error.command = first;
    throw error;
  }
}

function loadCommand(name) {
  if (Object.hasOwn(LOADERS, name)) return LOADERS[name]();
  const isOption = name.startsWith("-");
  const known = isOption ? ["--help", "--version"] : [...Object.keys(LOADERS), "help"];
  throw new UsageError(`Unknown ${isOption ? "option" : "command"} ${name}${suggestion(name, known)}`);
}

function print(text) {
  process.stdout.write(`${text}\n`);
  return EXIT.success;
}

function version() {
  return JSON.parse(readFileSync(join(__dirname, "..", "package.json"), "utf8")).version;
}

/** Ignores a closed pipe: a program that reads the output, such as `head`, may end first. */
function ignoreClosedPipe(stream) {
  stream.on("error", (error) => {
    if (error.code !== "EPIPE") throw error;
  });
}

function reportError(error) {
  const isExpected = error instanceof CliError;
  process.stderr.write(`${PROGRAM}: ${isExpected ? error.message : (error.stack ?? error)}\n`);
  if (error instanceof UsageError) {
    process.stderr.write(`Try: ${[PROGRAM, error.command, "--help"].filter(Boolean).join(" ")}\n`);
  }
  return isExpected ? error.exitCode : EXIT.failure;
}

if (process.argv[2] === SERVE_DETACHED && process.send !== undefined) {
  process.once("message", serveDetached);
} else {
  ignoreClosedPipe(process.stdout);
  ignoreClosedPipe(process.stderr);
  main(process.argv.slice(2))
    .catch(reportError)
    .then((code) => {
      process.exitCode = code;
    });
}
