"use strict";

// What a command says when it cannot go on: words for stderr, and the exit code. Whatever else is thrown is a fault
// of this program. It must not know a command.

const { EXIT } = require("./exit-codes.js");

class Complaint extends Error {
  exitCode = EXIT.failed;
}

/** What a user wrote makes no sense; `command` is where its help is. */
class UsageError extends Complaint {
  exitCode = EXIT.usage;
  command;
}

module.exports = { Complaint, UsageError };
