"use strict";

// The help texts, made from the commands' own tables. It must not know a command.

const { wrap } = require("./terminal.js");
const { NAME } = require("./exit-codes.js");

const WIDTH = 100;

function overview(commands) {
  const summaries = Object.entries(commands);
  const width = Math.max(...summaries.map(([name]) => name.length));
  return [
    `${NAME}: Azure managed identity tokens, from the command line`,
    "",
    `Usage: ${NAME} <command> [options]`,
    "",
    ...summaries.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    `  ${NAME} <command> --help   its options`,
    `  ${NAME} --version          the version`,
  ].join("\n");
}

function commandHelp(name, summary, { usage, options, notes }) {
  const rows = Object.entries(options).map(([option, { value, says, choices, default: fallback }]) => [
    `--${option}${value === undefined ? "" : ` ${value}`}`,
    [says, choices && `one of ${choices.join(", ")}`, fallback !== undefined && `default ${fallback}`]
      .filter(Boolean)
      .join("; "),
  ]);
  rows.push(["--help, -h", "this text"]);
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    `${NAME} ${name}: ${summary}`,
    "",
    ...usage.map((line, index) => `${index === 0 ? "Usage:" : "      "} ${NAME} ${name} ${line}`),
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
