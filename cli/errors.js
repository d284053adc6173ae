"use strict";

// Errors that the command line reports with a message and an exit code. Any other error is a bug of this program and is
// reported with its stack.

const { EXIT } = require("./exit-codes.js");

class CliError extends Error {
  exitCode = EXIT.failure;
}

/** The command line is invalid. `command` is the command whose help describes the valid arguments. */
class UsageError extends CliError {
  exitCode = EXIT.usage;
  command;
}

module.exports = { CliError, UsageError };
