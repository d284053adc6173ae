"use strict";

// Variables as other programs read them. It must not know which variables they are.

/** Nothing that any of the readers would take for more than a character. */
const SAFE = /^[\w@%+=:,./-]+$/;

/** By format: a function of the variables to set, and of the names of those to unset, to a text. */
const FORMATS = {
  bash: (set, unset) => [
    ...unset.map((name) => `unset ${name}`),
    ...lines(set, (name, value) => `export ${name}=${SAFE.test(value) ? value : inSingleQuotes(value)}`),
  ],
  dotenv: (set, unset) => [
    // There is no way to unset one in such a file; an empty one counts as unset here.
    ...unset.map((name) => `${name}=`),
    ...lines(set, (name, value) => `${name}=${dotenvValue(value)}`),
  ],
  json: (set, unset) => [
    JSON.stringify({ ...Object.fromEntries(unset.map((name) => [name, ""])), ...set }, undefined, 2),
  ],
  powershell: (set, unset) => [
    ...unset.map((name) => `Remove-Item Env:${name}`),
    ...lines(set, (name, value) => `$env:${name} = '${value.replaceAll("'", "''")}'`),
  ],
};

function write(format, set, unset) {
  return `${FORMATS[format](set, unset).join("\n")}\n`;
}

function lines(variables, line) {
  return Object.entries(variables).map(([name, value]) => line(name, value));
}

function inSingleQuotes(value) {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/** Bare where possible, since Docker takes quotes for a part of the value. */
function dotenvValue(value) {
  if (SAFE.test(value) || /^[^\s'"`#$]+$/.test(value)) return value;
  return value.includes("'") ? `"${value}"` : `'${value}'`;
}

module.exports = { formats: Object.keys(FORMATS), write };
