"use strict";

// What the commands share when they speak: the program's name and the exit codes. docs/command-line.md lists them.

const NAME = "managed-identity-native";

const EXIT = Object.freeze({
  /** What was asked for was done. */
  done: 0,
  /** There is no token, or the emulator could not be started. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** There is no managed identity here. */
  unavailable: 3,
  /** The emulator's command cannot be started: as a shell has it. */
  notExecutable: 126,
  notFound: 127,
  /** The emulator's command was ended by a signal: this plus its number, as a shell has it. */
  signalled: 128,
});

module.exports = { EXIT, NAME };
