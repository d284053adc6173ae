// docs/faults.md, made from the table that the tests run: `node __test__/fault-matrix/document.mjs --write`.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SOURCES } from "./sources.mjs";
import { AGES, faultsOf, isRetried, outcome } from "./table.mjs";

export const path = fileURLToPath(new URL("../../docs/faults.md", import.meta.url));

const INTRODUCTION = `# What a fault does

What a caller gets when the managed identity endpoint misbehaves. This page is made from the table that
\`__test__/faults.spec.mjs\` runs over real sockets, every fault with every source and with tokens of every age in the
cache; do not edit it, run \`node __test__/fault-matrix/document.mjs --write\`.

A token that is valid is never withheld because of a fault:

| the cache holds | the caller gets | when |
| --- | --- | --- |
| a fresh token | that token | at once; the endpoint is not asked |
| an ageing one (past the half of a lifetime of over 2 h) | that token, whatever the fault | at once; the refresh fails behind the caller |
| a nearly expired one (under 5 min left) | that token, if no other can be had | when the request has failed, or after 2 s |
| an expired one, or nothing | what the tables below say | when the request has failed, or after \`requestTimeout\` |

"Tried again" is what happens by default; with \`disableInternalRetries\` nothing is, and the error says \`retryable\`
instead. How often and after what waits is in README.

The tables are about endpoints that are configured. At the default address of IMDS the same holds, except that something
other than IMDS may answer there: until IMDS has answered once, \`getToken\` then fails at once with a
\`CredentialUnavailableError\`, and the message says what answered. README has
[the tables of when a chain of credentials moves on](../README.md#with-the-azure-sdk). A fault of this process itself (no
ports, descriptors or memory left, or a connection that it is not allowed to make) is
\`managed_identity_unreachable_network\` with the system's code in \`cause.code\`, is tried again once, and never moves a
chain on.
`;

const FILES = `## Files on a file system that does not respond

\`__test__/hung-file-system.spec.mjs\` runs these. No other call is delayed, and the process can end.

| what hangs | the caller gets | tried again |
| --- | --- | --- |
| workload identity: the federated token | \`unable_to_read_secret_file\` after \`requestTimeout\` | no |
| Azure Arc: the key that a challenge names | \`unable_to_read_secret_file\` after \`requestTimeout\` | no |
| \`cache.directory\`, or \`/etc/machine-id\` with it | a new token, after 10 s or half of the time that the call has left; one that has come waits for a second at most until it is written | no |
`;

/** The document's text. */
export function document() {
  return `${INTRODUCTION}\n${groups().map(section).join("\n")}\n${FILES}`;
}

/** Sources with the same outcomes share a table. */
function groups() {
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
  const byOutcome = new Map();
  for (const fault of faultsOf(source)) {
    const words = told(fault, outcome(source, fault, AGES[0]), isRetried(source, fault));
    byOutcome.set(words, [...(byOutcome.get(words) ?? []), fault.name]);
  }
  return [...byOutcome];
}

function told(fault, ends, retried) {
  const again = retried ? "yes" : "no";
  if (typeof ends === "string") return `${ends} | | no`;
  const { code, status, wait } = ends;
  return `\`${code}\`${wait ? ` after \`${wait}\`` : ""} | ${fault.name.startsWith(`${status}`) && status !== 200 ? "that status" : (status ?? "")} | ${again}`;
}

function section({ names, rows }) {
  const lines = rows.map(([words, faults]) => `| ${faults.join("; ")} | ${words} |`);
  return `## ${names.join(", ")}\n
| fault | the caller gets | \`statusCode\` | tried again |
| --- | --- | --- | --- |
${lines.join("\n")}
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv.includes("--write")) {
  writeFileSync(path, document());
}
