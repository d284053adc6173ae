// Formats environment variables for shells and other programs.

type Variables = Readonly<Record<string, string>>;

/** Returns the lines for the variables to set and the names to unset. */
type Formatter = (set: Variables, unset: readonly string[]) => readonly string[];

/** Values that no reader needs quoted. */
const UNQUOTED = /^[\w@%+=:,./-]+$/;

const FORMATS: ReadonlyMap<string, Formatter> = new Map<string, Formatter>([
  [
    "bash",
    (set, unset) => [
      ...unset.map((name) => `unset ${name}`),
      ...formatEach(
        set,
        (name, value) => `export ${name}=${UNQUOTED.test(value) ? value : quoteForShell(value)}`,
      ),
    ],
  ],
  [
    "dotenv",
    (set, unset) => [
      // Such a file cannot unset a variable. An empty variable counts as unset for this package.
      ...unset.map((name) => `${name}=`),
      ...formatEach(set, (name, value) => `${name}=${quoteForDotenv(value)}`),
    ],
  ],
  [
    "json",
    (set, unset) => [
      JSON.stringify({ ...Object.fromEntries(unset.map((name) => [name, ""])), ...set }, undefined, 2),
    ],
  ],
  [
    "powershell",
    (set, unset) => [
      ...unset.map((name) => `Remove-Item Env:${name}`),
      ...formatEach(set, (name, value) => `$env:${name} = '${value.replaceAll("'", "''")}'`),
    ],
  ],
]);

export const formatNames: readonly string[] = [...FORMATS.keys()];

/** Formats variables. `format` is one of `formatNames`. */
export function formatVariables(format: string, set: Variables, unset: readonly string[]): string {
  const toLines = FORMATS.get(format);
  if (toLines === undefined) throw new RangeError(`Unknown format ${format}`);
  return `${toLines(set, unset).join("\n")}\n`;
}

function formatEach(
  variables: Variables,
  toLine: (name: string, value: string) => string,
): readonly string[] {
  return Object.entries(variables).map(([name, value]) => toLine(name, value));
}

function quoteForShell(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/** Quotes only where it is necessary, since Docker takes quotes as a part of the value. */
function quoteForDotenv(value: string): string {
  if (UNQUOTED.test(value) || /^[^\s'"`#$]+$/.test(value)) return value;
  return value.includes("'") ? `"${value}"` : `'${value}'`;
}
