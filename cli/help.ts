// Generates the help texts from the commands' tables of options.

import { HELP } from "./arguments.js";
import { PROGRAM } from "./exit-codes.js";
import type { Command, OptionSpec } from "./options.js";
import { wrap } from "./terminal.js";

/** The width of lines in a pipe or a file, and the largest in a terminal. */
const MAX_WIDTH = 100;
/** Descriptions have at least this width, however narrow the terminal is. */
const MIN_DESCRIPTION_WIDTH = 20;

/** Returns the help of the program. `summaries` are the commands with a line on each. */
export function overview(summaries: Readonly<Record<string, string>>, outputWidth: number): string {
  const entries = Object.entries(summaries);
  const width = Math.max(...entries.map(([name]) => name.length));
  return [
    ...wrap(`${PROGRAM}: Azure managed identity tokens from the command line`, outputWidth),
    "",
    `Usage: ${PROGRAM} <command> [options]`,
    "",
    ...formatRows(entries, width, outputWidth),
    "",
    `  ${PROGRAM} <command> --help   show the options of a command`,
    `  ${PROGRAM} --version          show the version`,
  ].join("\n");
}

export function commandHelp(
  name: string,
  summary: string,
  { usage, options, notes }: Command,
  outputWidth: number,
): string {
  const lineWidth = Math.min(outputWidth, MAX_WIDTH);
  const rows = [
    ...Object.entries(options).map(
      ([option, spec]) => [optionSyntax(option, spec), optionText(spec)] as const,
    ),
    [optionSyntax("help", HELP.help), HELP.help.description] as const,
  ];
  const width = Math.max(...rows.map(([syntax]) => syntax.length));
  return [
    ...wrap(`${PROGRAM} ${name}: ${summary}`, lineWidth),
    "",
    ...usage.map((line, index) =>
      `${index === 0 ? "Usage:" : "      "} ${PROGRAM} ${name} ${line}`.trimEnd(),
    ),
    "",
    ...formatRows(rows, width, lineWidth),
    "",
    ...notes.flatMap((note) => (note.startsWith(" ") ? [note] : wrap(note, lineWidth))),
  ].join("\n");
}

/** Formats two columns, of which the first has the width `firstWidth`. */
function formatRows(
  rows: readonly (readonly [first: string, second: string])[],
  firstWidth: number,
  width: number,
): readonly string[] {
  return rows.flatMap(([first, second]) =>
    wrap(second, Math.max(width - firstWidth - 4, MIN_DESCRIPTION_WIDTH)).map(
      (line, index) => `  ${(index === 0 ? first : "").padEnd(firstWidth)}  ${line}`,
    ),
  );
}

function optionSyntax(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? "" : `, -${spec.short}`;
  return spec.type === "boolean" ? `--${name}${short}` : `--${name}${short} ${spec.value}`;
}

function optionText(spec: OptionSpec): string {
  if (spec.type === "boolean") return spec.description;
  const { choices, default: defaultValue, description } = spec;
  return [
    description,
    ...(choices === undefined ? [] : [`${spec.type === "list" ? "any of" : "one of"} ${choices.join(", ")}`]),
    ...(defaultValue === undefined ? [] : [`default: ${defaultValue}`]),
  ].join("; ");
}
