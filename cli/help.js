"use strict";

// Generates the help texts from the commands' tables of options.

const { PROGRAM } = require("./exit-codes.js");
const { wrap } = require("./terminal.js");

const WIDTH = 100;

function overview(summaries) {
  const entries = Object.entries(summaries);
  const width = Math.max(...entries.map(([name]) => name.length));
  return [
    `${PROGRAM}: Azure managed identity tokens from the command line`,
    "",
    `Usage: ${PROGRAM} <command> [options]`,
    "",
    ...entries.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    `  ${PROGRAM} <command> --help   show the options of a command`,
    `  ${PROGRAM} --version          show the version`,
  ].join("\n");
}

function commandHelp(name, summary, { usage, options, notes }) {
  const rows = Object.entries(options).map(([option, { value, description, choices, default: fallback }]) => [
    `--${option}${value === undefined ? "" : ` ${value}`}`,
    [description, choices && `one of ${choices.join(", ")}`, fallback !== undefined && `default: ${fallback}`]
      .filter(Boolean)
      .join("; "),
  ]);
  rows.push(["--help, -h", "show this help"]);
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    `${PROGRAM} ${name}: ${summary}`,
    "",
    ...usage.map((line, index) => `${index === 0 ? "Usage:" : "      "} ${PROGRAM} ${name} ${line}`),
    "",
    ...rows.flatMap(([left, right]) =>
      wrap(right, WIDTH - width - 4).map(
        (line, index) => `  ${(index === 0 ? left : "").padEnd(width)}  ${line}`,
      ),
    ),
    "",
    ...notes.flatMap((note) => (note.startsWith(" ") ? [note] : wrap(note, WIDTH))),
  ].join("\n");
}

module.exports = { commandHelp, overview };
