// `npm run bench`: measures this package, as it would be installed, beside its peers, and writes bench/results/.
//
//   node bench/run.mjs                   everything, some ten minutes on a quiet machine
//   node bench/run.mjs --quick           a few runs of each, for developing; writes nothing
//   node bench/run.mjs --only start-import,callers
//                                        these measurements alone; writes nothing
//   node bench/run.mjs --out <folder>    writes there, whatever else was asked

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { install } from "./installation.mjs";
import { instructions } from "./instructions.mjs";
import { machine } from "./machine.mjs";
import { measurements, thoroughness } from "./measurements.mjs";
import { measured, startEndpoint } from "./processes.mjs";
import { embed, pages, write } from "./report/write.mjs";
import { evaluate } from "./results.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    out: { type: "string" },
  },
});
const only = options.only?.split(",");
const resultsFolder = fileURLToPath(new URL("results", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "managed-identity-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

const installed = await install(folder);
const settings = {
  ...(options.quick ? thoroughness.quick : thoroughness.full),
  hasGetToken: "getToken" in installedClass(installed.native.folder).prototype,
};
const facts = await machine();
const raw = {};
for (const [id, measurement] of Object.entries(measurements)) {
  if (only === undefined || only.includes(id)) raw[id] = await inTurns(id, measurement);
}
if (only === undefined || only.includes("instructions")) raw.instructions = await countedInstructions();
raw.installed = sizes();

const results = {
  machine: facts,
  versions: Object.fromEntries(
    Object.entries(installed).map(([contender, { version }]) => [contender, version]),
  ),
  settings,
  metrics: evaluate(raw),
  raw,
};
console.log(pages(results).page);
const complete = !options.quick && only === undefined;
if (complete || options.out !== undefined) write(results, options.out ?? resultsFolder);
for (const file of complete && options.out === undefined ? embed(results) : []) {
  console.error(`${file} does not have the markers <!-- bench:start --> and <!-- bench:end -->.`);
}
process.exit(); // Nothing is left but the removal of the folder.

function installedClass(from) {
  return createRequire(join(from, "package.json"))("managed-identity-native").ManagedIdentityApplication;
}

/** Every contender's runs, one of each in turn, each round beginning with another. */
async function inTurns(id, { program, programs, plans, runs, flags }) {
  const endpoint = await startEndpoint();
  const found = Object.fromEntries(
    Object.entries(plans(settings)).map(([contender, plan]) => [
      contender,
      typeof plan === "string" ? plan : { plan, values: [] },
    ]),
  );
  const running = Object.entries(found).filter(([, contender]) => typeof contender !== "string");
  for (let round = 0; round < settings.runs[runs]; round += 1) {
    console.error(`${id}, ${round + 1} of ${settings.runs[runs]}`);
    for (let place = 0; place < running.length; place += 1) {
      const [contender, { plan, values }] = running[(place + round) % running.length];
      const job = {
        folder: (installed[contender] ?? installed.native).folder,
        program: programs?.[contender] ?? program,
        plan,
        flags,
      };
      values.push((await measured(job, endpoint)).values);
    }
  }
  endpoint.stop();
  return Object.fromEntries(
    Object.entries(found).map(([contender, kept]) => [
      contender,
      typeof kept === "string" ? kept : kept.values,
    ]),
  );
}

async function countedInstructions() {
  console.error("instructions");
  const endpoint = await startEndpoint();
  const counts = await instructions(installed, endpoint);
  endpoint.stop();
  if (typeof counts === "string") return { native: counts };
  return Object.fromEntries(
    Object.entries(counts).map(([contender, count]) => [contender, [{ instructions: count }]]),
  );
}

function sizes() {
  return Object.fromEntries(
    Object.entries(installed).map(([contender, { installedBytes, packages, addonBytes, notInstalled }]) => [
      contender,
      notInstalled ?? [{ bytes: installedBytes, packages, addon: addonBytes }],
    ]),
  );
}
