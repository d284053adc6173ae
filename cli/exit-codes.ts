// The program's name and its exit codes, which docs/command-line.md documents.

export const PROGRAM = "managed-identity-native";

export const EXIT = {
  /** The command succeeded. */
  success: 0,
  /** No token could be acquired, or the emulator could not start. */
  failure: 1,
  /** The command line is invalid. */
  usage: 2,
  /** No managed identity endpoint responds. */
  unavailable: 3,
  /** The emulator's command cannot be executed; the same code as in a shell. */
  notExecutable: 126,
  /** The emulator's command does not exist; the same code as in a shell. */
  notFound: 127,
  /** A signal ended the emulator's command: this number plus the signal's, as in a shell. */
  signalled: 128,
} as const;
