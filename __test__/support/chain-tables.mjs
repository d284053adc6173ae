// Reads the documented tables of when a credential chain continues, so that the tests run every row.

import { readFileSync } from "node:fs";

const CONFIGURED = "a configured endpoint";
const DEFAULT_ADDRESS = "the default address of IMDS, until IMDS has responded";
const SERVICES_OWN = "the service's own";
const MOVES_ON = { "moves on": true, stops: false };

const page = readFileSync(new URL("../../docs/azure-sdk.md", import.meta.url), "utf8");

/** The rows of the table whose first column has this heading, as `{ situation, code, movesOn }`, one per situation. */
function rowsOf(heading) {
  const lines = page.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${heading} |`));
  if (start === -1) throw new Error(`docs/azure-sdk.md does not have the table of ${heading}`);
  const rest = lines.slice(start + 2);
  return rest
    .slice(
      0,
      rest.findIndex((line) => !line.startsWith("|")),
    )
    .flatMap((line) => {
      const [, situations, code, chain] = line.split("|").map((cell) => cell.trim());
      if (!Object.hasOwn(MOVES_ON, chain)) throw new Error(`a chain ${chain}?`);
      return situations.split("; ").map((situation) => ({
        situation,
        code: code === SERVICES_OWN ? undefined : code.replaceAll("`", ""),
        movesOn: MOVES_ON[chain],
      }));
    });
}

export const configuredRows = rowsOf(CONFIGURED);
export const defaultAddressRows = rowsOf(DEFAULT_ADDRESS);
