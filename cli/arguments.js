"use strict";

// Parses a command's arguments by its table of options. An entry of the table is one of node:util's parseArgs with
// `value` (the placeholder of the value in the help), `choices`, `integer` and `description`.

const { parseArgs } = require("node:util");
const { UsageError } = require("./errors.js");

const HELP = { type: "boolean", short: "h", description: "show this help" };
/** A suggestion must be closer than this (Levenshtein distance). */
const MAX_EDIT_DISTANCE = 3;
/** A longer argument may be a secret in the wrong place, and is not repeated. */
const MAX_QUOTED_CHARS = 40;

/** Returns `{ values, rest }`: the options by name, and the arguments after `--`, undefined without `--`. */
function parseArguments(args, { options: own, takesCommand = false }) {
  const options = { ...own, help: HELP };
  const parserOptions = Object.fromEntries(
    Object.entries(options).map(([name, { type, short }]) => [name, short ? { type, short } : { type }]),
  );
  // Not strict, because the errors of parseArgs suggest nothing.
  const { tokens } = parseArgs({ args, options: parserOptions, strict: false, tokens: true });
  const values = {};
  for (const token of tokens) {
    if (token.kind === "option-terminator") {
      if (!takesCommand) throw new UsageError("This command takes no arguments after --.");
      return { values: withDefaults(values, options), rest: args.slice(token.index + 1) };
    }
    if (token.kind === "positional") {
      const remedy = takesCommand ? "A command to run follows --." : "A resource follows --resource.";
      throw new UsageError(`Unexpected argument ${abbreviate(token.value)}. ${remedy}`);
    }
    values[token.name] = parseValue(token, options);
  }
  return { values: withDefaults(values, options), rest: undefined };
}

function parseValue({ name, rawName, value, inlineValue }, options) {
  if (!Object.hasOwn(options, name)) {
    const known = Object.keys(options).map((option) => `--${option}`);
    throw new UsageError(`Unknown option ${abbreviate(rawName)}${suggestion(rawName, known)}`);
  }
  const { type, value: placeholder, choices, integer } = options[name];
  if (type === "boolean") {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value.`);
    return true;
  }
  if (value === undefined || (!inlineValue && value.startsWith("-"))) {
    throw new UsageError(`${rawName} needs a value: ${rawName} ${placeholder}`);
  }
  if (integer && !/^\d{1,15}$/.test(value)) {
    throw new UsageError(`${rawName} must be a whole number, not ${abbreviate(value)}.`);
  }
  return choices ? matchChoice(rawName, value, choices) : value;
}

/** Returns the one of `choices` that `value` matches without case and dashes. */
function matchChoice(rawName, value, choices) {
  const found = choices.find((choice) => normalize(choice) === normalize(value));
  if (found === undefined) {
    const near = nearest(value, choices);
    const question = near === undefined ? "." : `; did you mean ${near}?`;
    throw new UsageError(
      `${rawName} must be one of ${choices.join(", ")}, not ${abbreviate(value)}${question}`,
    );
  }
  return found;
}

/** Fills in the defaults and converts integers. */
function withDefaults(values, options) {
  for (const [name, option] of Object.entries(options)) {
    if (values[name] === undefined) values[name] = option.default;
    if (option.integer && values[name] !== undefined) values[name] = Number(values[name]);
  }
  return values;
}

/** Returns the end of an error message: "; did you mean …?" if one of `known` is similar, otherwise the whole list. */
function suggestion(word, known) {
  const near = nearest(word, known);
  return near === undefined ? `. Choose one of ${known.join(", ")}.` : `; did you mean ${near}?`;
}

/** Returns the most similar of `known`, or undefined if none is similar enough. */
function nearest(word, known) {
  const [{ candidate, distance }] = known
    .map((each) => ({ candidate: each, distance: editDistance(normalize(word), normalize(each)) }))
    .sort((one, other) => one.distance - other.distance);
  return distance < MAX_EDIT_DISTANCE && distance < normalize(candidate).length ? candidate : undefined;
}

function normalize(word) {
  return word.toLowerCase().replaceAll("-", "");
}

/** Returns the Levenshtein distance of two words. */
function editDistance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1];
    for (let at = 1; at < row.length; at += 1) {
      const replaced = row[at - 1] + (letter === other[at - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[at] + 1, next[at - 1] + 1));
    }
    row = next;
  }
  return row[other.length];
}

/** Returns an argument as an error message may quote it. */
function abbreviate(text) {
  return text.length > MAX_QUOTED_CHARS ? `${text.slice(0, 8)}… (${text.length} characters)` : text;
}

module.exports = { abbreviate, parseArguments, suggestion };
