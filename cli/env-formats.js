"use strict";

// Formats environment variables for shells and other programs.

/** Values that no reader needs quoted. */
const UNQUOTED = /^[\w@%+=:,./-]+$/;

/** By format: returns the lines for the variables to set and the names to unset. */
const FORMATS = {
  bash: (set, unset) => [
    ...unset.map((name) => `unset ${name}`),
    ...formatEach(
      set,
      (name, value) => `export ${name}=${UNQUOTED.test(value) ? value : quoteForShell(value)}`,
    ),
  ],
  dotenv: (set, unset) => [
    // Such a file cannot unset a variable. An empty variable counts as unset for this package.
    ...unset.map((name) => `${name}=`),
    ...formatEach(set, (name, value) => `${name}=${quoteForDotenv(value)}`),
  ],
  json: (set, unset) => [
    JSON.stringify({ ...Object.fromEntries(unset.map((name) => [name, ""])), ...set }, undefined, 2),
  ],
  powershell: (set, unset) => [
    ...unset.map((name) => `Remove-Item Env:${name}`),
    ...formatEach(set, (name, value) => `$env:${name} = '${value.replaceAll("'", "''")}'`),
  ],
};

function formatVariables(format, set, unset) {
  return `${FORMATS[format](set, unset).join("\n")}\n`;
}

function formatEach(variables, toLine) {
  return Object.entries(variables).map(([name, value]) => toLine(name, value));
}

function quoteForShell(value) {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/** Quotes only where it is necessary, since Docker takes quotes as a part of the value. */
function quoteForDotenv(value) {
  if (UNQUOTED.test(value) || /^[^\s'"`#$]+$/.test(value)) return value;
  return value.includes("'") ? `"${value}"` : `'${value}'`;
}

module.exports = { formatVariables, formats: Object.keys(FORMATS) };
