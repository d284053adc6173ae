"use strict";

// Output to a terminal or a pipe: colours, the width of lines, and the removal of control characters.

const { styleText } = require("node:util");

const MAX_WIDTH = 100;
const CONTROLS = /\p{Cc}+/gu;

/** Returns a function `(style, text)` that colours text for `stream` if the stream supports colours. */
function createStyler(stream, env = process.env) {
  // Node.js 20.0 to 20.11 lack styleText.
  if (styleText === undefined || !supportsColor(stream, env)) return (_, text) => text;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** Follows https://no-color.org and https://force-color.org. */
function supportsColor({ isTTY }, { FORCE_COLOR, NO_COLOR, TERM }) {
  if (FORCE_COLOR) return !["0", "false"].includes(FORCE_COLOR);
  return isTTY === true && !NO_COLOR && TERM !== "dumb";
}

/** Returns the width at which lines are wrapped; infinity for a pipe or a file. */
function outputWidth({ isTTY, columns }) {
  return isTTY ? Math.min(columns || MAX_WIDTH, MAX_WIDTH) : Number.POSITIVE_INFINITY;
}

/** Splits `text` into lines of up to `width` characters. A longer word gets a line of its own. */
function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Replaces control characters, with which text from a server could manipulate the terminal. */
function stripControlCharacters(text) {
  return text.replace(CONTROLS, " ");
}

module.exports = { createStyler, outputWidth, stripControlCharacters, wrap };
