// Output to a terminal or a pipe: colours, the width of lines, and the removal of control characters.

import * as util from "node:util";

const MAX_WIDTH = 100;
const CONTROLS = /\p{Cc}+/gu;

/** The properties of an output stream that determine the layout. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type Style = "bold" | "cyan" | "dim" | "green" | "red" | "yellow";

/** Colours a text. */
export type Styler = (style: Style, text: string) => string;

/** Returns a function that colours text for `stream` if the stream supports colours. */
export function createStyler(stream: OutputStream, env: NodeJS.ProcessEnv = process.env): Styler {
  // Node.js 20.0 to 20.11 lack styleText.
  const { styleText }: Partial<typeof util> = util;
  if (styleText === undefined || !supportsColor(stream, env)) return (_, text) => text;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** Follows https://no-color.org and https://force-color.org. */
function supportsColor({ isTTY }: OutputStream, { FORCE_COLOR, NO_COLOR, TERM }: NodeJS.ProcessEnv): boolean {
  if (FORCE_COLOR) return !["0", "false"].includes(FORCE_COLOR);
  return isTTY === true && !NO_COLOR && TERM !== "dumb";
}

/** Returns the width at which lines are wrapped; infinity for a pipe or a file. */
export function outputWidth({ isTTY, columns }: OutputStream): number {
  return isTTY ? Math.min(columns || MAX_WIDTH, MAX_WIDTH) : Number.POSITIVE_INFINITY;
}

/** Splits `text` into lines of up to `width` characters. A longer word gets a line of its own. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line === "") {
      line = word;
    } else if (line.length + 1 + word.length <= width) {
      line = `${line} ${word}`;
    } else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** Replaces control characters, with which text from a server could manipulate the terminal. */
export function stripControlCharacters(text: string): string {
  return text.replace(CONTROLS, " ");
}
