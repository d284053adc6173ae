#!/usr/bin/env node
"use strict";

// The command line: finds the command, hands it its arguments, and turns what goes wrong into words on stderr and
// an exit code. It must not know what a command does. docs/command-line.md describes it for its users.

const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { hint, read } = require("./arguments.js");
const { SERVE, serve } = require("./background.js");
const { Complaint, UsageError } = require("./complaint.js");
const { commandHelp, overview } = require("./help.js");
const { EXIT, NAME } = require("./words.js");

/** Each is a file with `usage`, `options`, `notes` and `run(values, rest)`, which resolves with the exit code. */
const COMMANDS = {
  doctor: "find out where tokens come from here, and why they do not",
  token: "print an access token, for scripts",
  emulator: "play a host of managed identities, for a shell or for one command",
};

/** Loaded when it is asked for: a token is not to wait for the emulator. */
const LOAD = {
  doctor: () => require("./doctor.js"),
  token: () => require("./token.js"),
  emulator: () => require("./emulator.js"),
};

async function main([first, ...rest]) {
  if (first === "--version" || first === "-v") return print(version());
  if (first === "--help" || first === "-h") return print(overview(COMMANDS));
  if (first === "help" && rest.length === 0) return print(overview(COMMANDS));
  if (first === "help") return print(commandHelp(rest[0], COMMANDS[rest[0]], find(rest[0])));
  if (first === undefined) {
    process.stderr.write(`${overview(COMMANDS)}\n`);
    return EXIT.usage;
  }
  const command = find(first);
  try {
    const { values, rest: following } = read(rest, command);
    if (values.help) return print(commandHelp(first, COMMANDS[first], command));
    return await command.run(values, following);
  } catch (error) {
    if (error instanceof UsageError) error.command = first;
    throw error;
  }
}

function find(name) {
  if (Object.hasOwn(COMMANDS, name)) return LOAD[name]();
  const known = name.startsWith("-") ? ["--help", "--version"] : [...Object.keys(COMMANDS), "help"];
  const what = name.startsWith("-") ? "option" : "command";
  throw new UsageError(`There is no ${what} ${name}${hint(name, known)}`);
}

function print(text) {
  process.stdout.write(`${text}\n`);
  return EXIT.done;
}

function version() {
  return JSON.parse(readFileSync(join(__dirname, "..", "package.json"), "utf8")).version;
}

/** Whoever read our output may have gone, as `head` does; that is no fault of ours. */
function tolerateClosedPipe(stream) {
  stream.on("error", (error) => {
    if (error.code !== "EPIPE") throw error;
  });
}

function fail(error) {
  const complaint = error instanceof Complaint;
  process.stderr.write(`${NAME}: ${complaint ? error.message : (error.stack ?? error)}\n`);
  if (error instanceof UsageError) {
    process.stderr.write(`Try: ${[NAME, error.command, "--help"].filter(Boolean).join(" ")}\n`);
  }
  return complaint ? error.exitCode : EXIT.failed;
}

if (process.argv[2] === SERVE && process.send !== undefined) {
  process.once("message", serve);
} else {
  tolerateClosedPipe(process.stdout);
  tolerateClosedPipe(process.stderr);
  main(process.argv.slice(2))
    .catch(fail)
    .then((code) => {
      process.exitCode = code;
    });
}
