// Messages to the user on stderr, which begin with the program's name.

import { PROGRAM } from "./exit-codes.js";
import { outputWidth, wrap } from "./terminal.js";

/** Prints a message on one line, or on several ones if stderr is a terminal. */
export function printMessage(message: string): void {
  const lines = wrap(`${PROGRAM}: ${message}`, outputWidth(process.stderr));
  process.stderr.write(`${lines.join("\n")}\n`);
}
