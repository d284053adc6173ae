// Parses the arguments of a command by its table of options.

import { parseArgs } from "node:util";
import { UsageError } from "./errors.js";
import type { Command, OptionSpec, OptionTable, ValueSpec, Values } from "./options.js";
import { abbreviate, nearest, normalize, suggestion } from "./suggestions.js";

/** The option that every command has. */
export const HELP = {
  help: { type: "boolean", short: "h", description: "show this help" },
} as const satisfies OptionTable;

/** A parsed command line. `rest` are the arguments after `--`, undefined without `--`. */
export interface Arguments<Options extends OptionTable> {
  readonly values: Values<Options & typeof HELP>;
  readonly rest: readonly string[] | undefined;
}

type Value = string | number | boolean | readonly string[] | undefined;

export function parseArguments<Options extends OptionTable>(
  args: readonly string[],
  { options: own, takesCommand = false }: Pick<Command<Options>, "options" | "takesCommand">,
): Arguments<Options> {
  const options: OptionTable = { ...own, ...HELP };
  // Not strict, because the errors of parseArgs suggest nothing.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.entries(options).map(([name, spec]) => [name, parserOption(spec)])),
    strict: false,
    tokens: true,
  });
  const values = new Map<string, Value>(
    Object.entries(options).map(([name, spec]) => [name, defaultOf(spec)]),
  );
  /** The values of options that were given. */
  const repeated = new Map<string, Value>();
  let rest: readonly string[] | undefined;
  for (const token of tokens) {
    if (token.kind === "option-terminator") {
      if (!takesCommand) throw new UsageError("This command takes no arguments after --.");
      rest = args.slice(token.index + 1);
      break;
    }
    if (token.kind === "positional") {
      const remedy = positionalRemedy(options, takesCommand);
      throw new UsageError(`Unexpected argument ${abbreviate(token.value)}. ${remedy}`);
    }
    values.set(token.name, parseOption(token, options, repeated.get(token.name)));
    repeated.set(token.name, values.get(token.name));
  }
  // The loop gives every option of the table a value of its type.
  return { values: Object.fromEntries(values) as Values<Options & typeof HELP>, rest };
}

function positionalRemedy(options: OptionTable, takesCommand: boolean): string {
  if (takesCommand) return "A command to run follows --.";
  return "resource" in options ? "A resource follows --resource." : "This command takes no arguments.";
}

function parserOption(spec: OptionSpec): { type: "boolean" | "string"; short?: string } {
  const type = spec.type === "boolean" ? "boolean" : "string";
  return spec.short === undefined ? { type } : { type, short: spec.short };
}

function defaultOf(spec: OptionSpec): Value {
  if (spec.type === "boolean" || spec.default === undefined) return undefined;
  return spec.type === "list" ? splitList(spec.default) : spec.default;
}

interface OptionToken {
  readonly name: string;
  /** The option as it was written, such as "-h". */
  readonly rawName: string;
  readonly value: string | undefined;
  /** Whether the value follows a "=". */
  readonly inlineValue: boolean | undefined;
}

/** `before` is the value of the same option earlier in the command line. */
function parseOption(
  { name, rawName, value, inlineValue }: OptionToken,
  options: OptionTable,
  before: Value,
): Value {
  const spec = Object.hasOwn(options, name) ? options[name] : undefined;
  if (spec === undefined) {
    const known = Object.keys(options).map((option) => `--${option}`);
    throw new UsageError(`Unknown option ${abbreviate(rawName)}${suggestion(rawName, known)}`);
  }
  if (spec.type === "boolean") {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value.`);
    return true;
  }
  if (value === undefined || (!inlineValue && value.startsWith("-"))) {
    throw new UsageError(`${rawName} needs a value: ${rawName} ${spec.value}`);
  }
  if (spec.type !== "list") return parseValue(rawName, value, spec);
  const items = splitList(value).map((item) => parseItem(rawName, item, spec));
  return spec.isRepeatable && Array.isArray(before) ? [...before, ...items] : items;
}

function splitList(value: string): readonly string[] {
  return value.split(",").map((item) => item.trim());
}

function parseItem(rawName: string, item: string, { choices }: ValueSpec): string {
  if (item === "") throw new UsageError(`${rawName} has an empty entry.`);
  return choices === undefined ? item : matchChoice(rawName, item, choices);
}

function parseValue(rawName: string, value: string, { choices, type }: ValueSpec): string | number {
  if (type === "integer") {
    if (/^\d{1,15}$/.test(value)) return Number(value);
    throw new UsageError(`${rawName} must be a whole number, not ${abbreviate(value)}.`);
  }
  return choices === undefined ? value : matchChoice(rawName, value, choices);
}

/** Returns the one of `choices` that `value` matches without case and dashes. */
function matchChoice(rawName: string, value: string, choices: readonly string[]): string {
  const found = choices.find((choice) => normalize(choice) === normalize(value));
  if (found !== undefined) return found;
  const near = nearest(value, choices);
  const question = near === undefined ? "." : `; did you mean ${near}?`;
  throw new UsageError(
    `${rawName} must be one of ${choices.join(", ")}, not ${abbreviate(value)}${question}`,
  );
}
