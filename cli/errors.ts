// Errors that the command line reports with a message and an exit code. Any other error is a bug of this program and is
// reported with its stack.

import { EXIT } from "./exit-codes.js";

export class CliError extends Error {
  readonly exitCode: number = EXIT.failure;
}

/** The package is installed without an add-on that this machine can use. The message has the remedy, on several lines. */
export class InstallationError extends CliError {}

/** The command line is invalid. */
export class UsageError extends CliError {
  override readonly exitCode = EXIT.usage;
  /** The command whose help describes the valid arguments. */
  command: string | undefined;
}
