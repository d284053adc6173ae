// Generates the help texts from the commands' tables of options.

import { HELP } from "./arguments.js";
import { PROGRAM } from "./exit-codes.js";
import type { Command, OptionSpec } from "./options.js";
import { wrap } from "./terminal.js";

const WIDTH = 100;

/** Returns the help of the program. `summaries` are the commands with a line on each. */
export function overview(summaries: Readonly<Record<string, string>>): string {
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

export function commandHelp(name: string, summary: string, { usage, options, notes }: Command): string {
  const rows = [
    ...Object.entries(options).map(
      ([option, spec]) => [optionSyntax(option, spec), optionText(spec)] as const,
    ),
    ["--help, -h", HELP.help.description] as const,
  ];
  const width = Math.max(...rows.map(([syntax]) => syntax.length));
  return [
    `${PROGRAM} ${name}: ${summary}`,
    "",
    ...usage.map((line, index) => `${index === 0 ? "Usage:" : "      "} ${PROGRAM} ${name} ${line}`),
    "",
    ...rows.flatMap(([syntax, text]) =>
      wrap(text, WIDTH - width - 4).map(
        (line, index) => `  ${(index === 0 ? syntax : "").padEnd(width)}  ${line}`,
      ),
    ),
    "",
    ...notes.flatMap((note) => (note.startsWith(" ") ? [note] : wrap(note, WIDTH))),
  ].join("\n");
}

function optionSyntax(name: string, spec: OptionSpec): string {
  return spec.type === "boolean" ? `--${name}` : `--${name} ${spec.value}`;
}

function optionText(spec: OptionSpec): string {
  if (spec.type === "boolean") return spec.description;
  const { choices, default: defaultValue, description } = spec;
  return [
    description,
    ...(choices === undefined ? [] : [`one of ${choices.join(", ")}`]),
    ...(defaultValue === undefined ? [] : [`default: ${defaultValue}`]),
  ].join("; ");
}
