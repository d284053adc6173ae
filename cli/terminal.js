"use strict";

// What depends on where text is printed: colours, the width of lines, and that nothing which came from outside can
// steer a terminal. It must not know what is printed.

const { styleText } = require("node:util");

const WIDEST = 100;
const CONTROLS = /\p{Cc}+/gu;

/** A function `(style, text)` that colours what goes to `stream`, if that is a terminal and nobody minds. */
function painter(stream, env = process.env) {
  // Node.js 20.0 to 20.11 have no styleText.
  if (styleText === undefined || !wantsColours(stream, env)) return (_, text) => text;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** https://no-color.org, https://force-color.org */
function wantsColours({ isTTY }, { FORCE_COLOR, NO_COLOR, TERM }) {
  if (FORCE_COLOR) return !["0", "false"].includes(FORCE_COLOR);
  return isTTY === true && !NO_COLOR && TERM !== "dumb";
}

/** Where lines are to be broken: nowhere, unless somebody looks at them. */
function widthOf({ isTTY, columns }) {
  return isTTY ? Math.min(columns || WIDEST, WIDEST) : Number.POSITIVE_INFINITY;
}

/** `text` in lines of up to `width` characters; a longer word has a line of its own. */
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

/** `text` without characters that a terminal would act upon. */
function plain(text) {
  return text.replace(CONTROLS, " ");
}

module.exports = { painter, plain, widthOf, wrap };
