// Generates docs/faults.md from the table that the tests run: `node __test__/fault-matrix/document.mjs --write`.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SOURCES } from "./sources.mjs";
import { CACHE_STATES, expectedOutcome, faultsOf, isRetried } from "./table.mjs";

export const path = fileURLToPath(new URL("../../docs/faults.md", import.meta.url));

const INTRODUCTION = `# Faults and their results

The result of a call when the managed identity endpoint misbehaves. This page is generated from the table that
\`__test__/fault-matrix.spec.mjs\` runs over real sockets: every fault, with every source and every state of the cache.
Do not edit this page; run \`node __test__/fault-matrix/document.mjs --write\`.

A valid token is never withheld because of a fault:

| Cached token | Result | When |
| --- | --- | --- |
| fresh | the cached token | immediately; no request is sent |
| stale (past half of a lifetime of more than 2 h) | the cached token, whatever the fault | immediately; the refresh fails in the background |
| near expiry (less than 5 min left) | the cached token, if no new one can be acquired | when the request fails, or after 2 s |
| expired or none | see the tables below | when the request fails, or after \`requestTimeout\` |

"Retried" describes the default. With \`disableInternalRetries\` nothing is retried, and the error has \`retryable\`
instead. [Retries](wire-protocol.md#retries) lists the number of retries and their delays.

The tables apply to configured endpoints. They also apply to the default address of IMDS, except that something other
than IMDS may answer there: until IMDS has responded once, \`getToken\` then fails immediately with a
\`CredentialUnavailableError\`, and the message describes what answered.
[With the Azure SDK](azure-sdk.md#when-a-chain-of-credentials-moves-on) lists when a credential chain continues.

A local failure (no free ports, file descriptors or memory, or a connection that the system does not permit) is
\`managed_identity_unreachable_network\` with the system's code in \`cause.code\`. It is retried once and never makes a chain
continue.
`;

const FILES = `## Files on a file system that does not respond

\`__test__/hung-file-system.spec.mjs\` tests these faults. No other call is delayed, and the process can exit.

| File that hangs | Result | Retried |
| --- | --- | --- |
| workload identity: the federated token | \`unable_to_read_secret_file\` after \`requestTimeout\` | no |
| Azure Arc: the key file that a challenge names | \`unable_to_read_secret_file\` after \`requestTimeout\` | no |
| \`cache.directory\`, or \`/etc/machine-id\` with it | a new token, after 10 s or half of the remaining time of the call, whichever is less; a token that has arrived is returned after at most one second of waiting for it to be written | no |
`;

/** The text of docs/faults.md. */
export function document() {
  return `${INTRODUCTION}\n${groupSources().map(section).join("\n")}\n${FILES}`;
}

/** The tables of the document. Sources with the same results share one. */
function groupSources() {
  const byRows = new Map();
  for (const source of SOURCES) {
    const rows = rowsOf(source);
    const key = JSON.stringify(rows);
    if (!byRows.has(key)) byRows.set(key, { names: [], rows });
    byRows.get(key).names.push(source.name);
  }
  return [...byRows.values()];
}

function rowsOf(source) {
  const byCells = new Map();
  for (const fault of faultsOf(source)) {
    const cells = resultCells(
      fault,
      expectedOutcome(source, fault, CACHE_STATES[0]),
      isRetried(source, fault),
    );
    byCells.set(cells, [...(byCells.get(cells) ?? []), fault.name]);
  }
  return [...byCells];
}

function resultCells(fault, expected, retried) {
  const retriedCell = retried ? "yes" : "no";
  if (typeof expected === "string") return `${expected} | | no`;
  const { code, status, wait } = expected;
  return `\`${code}\`${wait ? ` after \`${wait}\`` : ""} | ${fault.name.startsWith(`${status}`) && status !== 200 ? "that status" : (status ?? "")} | ${retriedCell}`;
}

function section({ names, rows }) {
  const lines = rows.map(([cells, faults]) => `| ${faults.join("; ")} | ${cells} |`);
  return `## ${names.join(", ")}\n
| Fault | Result | \`statusCode\` | Retried |
| --- | --- | --- | --- |
${lines.join("\n")}
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv.includes("--write")) {
  writeFileSync(path, document());
}
