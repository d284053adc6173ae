"use strict";

// Reads a command's arguments by its table of options, and says what is wrong with them. The table's entries are
// those of node:util's parseArgs with `value` (what a value is called), `choices`, `integer` and `says` (for the
// help). It must not know any command.

const { parseArgs } = require("node:util");
const { UsageError } = require("./errors.js");

const HELP = { type: "boolean", short: "h", says: "this text" };
/** A word that differs by more letters than this was not meant. */
const FAR = 3;

/** `{ values, rest }`: the options by name, and what follows `--` (undefined without one). */
function read(args, { options: own, takesCommand = false }) {
  const options = { ...own, help: HELP };
  const forParser = Object.fromEntries(
    Object.entries(options).map(([name, { type, short }]) => [name, short ? { type, short } : { type }]),
  );
  // Not strict, since its complaints know no nearest option.
  const { tokens } = parseArgs({ args, options: forParser, strict: false, tokens: true });
  const values = {};
  for (const token of tokens) {
    if (token.kind === "option-terminator") {
      if (!takesCommand) throw new UsageError("Nothing may follow --.");
      return { values: defaults(values, options), rest: args.slice(token.index + 1) };
    }
    if (token.kind === "positional") {
      const remedy = takesCommand ? "a command to run goes behind --" : "a resource goes behind --resource";
      throw new UsageError(`What is ${shown(token.value)} for? If that was meant: ${remedy}.`);
    }
    values[token.name] = valueFor(token, options);
  }
  return { values: defaults(values, options), rest: undefined };
}

function valueFor({ name, rawName, value, inlineValue }, options) {
  if (!Object.hasOwn(options, name)) {
    const known = Object.keys(options).map((option) => `--${option}`);
    throw new UsageError(`There is no option ${shown(rawName)}${hint(rawName, known)}`);
  }
  const { type, value: what, choices, integer } = options[name];
  if (type === "boolean") {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value.`);
    return true;
  }
  if (value === undefined || (!inlineValue && value.startsWith("-"))) {
    throw new UsageError(`${rawName} needs a value: ${rawName} ${what}`);
  }
  if (integer && !/^\d{1,15}$/.test(value)) {
    throw new UsageError(`${rawName} needs a number, not ${shown(value)}.`);
  }
  return choices ? choose(rawName, value, choices) : value;
}

/** One of `choices`, in whatever case and with whatever dashes it was written. */
function choose(rawName, value, choices) {
  const found = choices.find((choice) => comparable(choice) === comparable(value));
  if (found === undefined) {
    const near = nearest(value, choices);
    const question = near === undefined ? "." : `; did you mean ${near}?`;
    throw new UsageError(`${rawName} is one of ${choices.join(", ")}, not ${shown(value)}${question}`);
  }
  return found;
}

function defaults(values, options) {
  for (const [name, option] of Object.entries(options)) {
    if (values[name] === undefined) values[name] = option.default;
    if (option.integer && values[name] !== undefined) values[name] = Number(values[name]);
  }
  return values;
}

/** "; did you mean …?" if one of `known` is near, else a full stop and the list. */
function hint(word, known) {
  const near = nearest(word, known);
  return near === undefined ? `. There are: ${known.join(", ")}.` : `; did you mean ${near}?`;
}

/** The one of `known` that was probably meant. */
function nearest(word, known) {
  const [{ candidate, letters }] = known
    .map((each) => ({ candidate: each, letters: distance(comparable(word), comparable(each)) }))
    .sort((one, other) => one.letters - other.letters);
  return letters < FAR && letters < comparable(candidate).length ? candidate : undefined;
}

function comparable(word) {
  return word.toLowerCase().replaceAll("-", "");
}

/** How many letters must be changed, put in or left out to make one word of the other (Levenshtein). */
function distance(one, other) {
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

/** What a user wrote, as far as it is good to repeat: a secret may have slipped into the wrong place. */
function shown(text) {
  return text.length > 40 ? `${text.slice(0, 8)}… (${text.length} characters)` : text;
}

module.exports = { hint, read, shown };
