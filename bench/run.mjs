// `npm run bench`: measures this package, as installed from npm, and its peers, and writes bench/results/.
//
//   node bench/run.mjs                   everything, about ten minutes on a quiet machine
//   node bench/run.mjs --quick           few runs, for development; writes nothing
//   node bench/run.mjs --only start-import,callers
//                                        only these measurements; writes nothing
//   node bench/run.mjs --out <directory>    writes to this directory in any case

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { install } from "./installation.mjs";
import { instructions } from "./instructions.mjs";
import { describeMachine } from "./machine.mjs";
import { measurements, SETTINGS } from "./measurements.mjs";
import { measure, startEndpoint } from "./processes.mjs";
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

const directory = mkdtempSync(join(tmpdir(), "managed-identity-bench-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

const installed = await install(directory);
const settings = {
  ...(options.quick ? SETTINGS.quick : SETTINGS.full),
  hasGetToken: "getToken" in installedClass(installed.native.directory).prototype,
};
const machine = await describeMachine();
const raw = {};
for (const [id, measurement] of Object.entries(measurements)) {
  if (only === undefined || only.includes(id)) raw[id] = await measureInTurns(id, measurement);
}
if (only === undefined || only.includes("instructions")) raw.instructions = await measureInstructions();
raw.installed = sizes();

const results = {
  machine,
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
process.exit(); // Only the exit handler remains, which removes the directory.

function installedClass(from) {
  return createRequire(join(from, "package.json"))("managed-identity-native").ManagedIdentityApplication;
}

/** Runs each contender once per round, starting each round with another contender. */
async function measureInTurns(id, { program, programs, plans, runs, flags }) {
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
        directory: (installed[contender] ?? installed.native).directory,
        program: programs?.[contender] ?? program,
        plan,
        flags,
      };
      values.push((await measure(job, endpoint)).values);
    }
  }
  endpoint.stop();
  return Object.fromEntries(
    Object.entries(found).map(([contender, entry]) => [
      contender,
      typeof entry === "string" ? entry : entry.values,
    ]),
  );
}

async function measureInstructions() {
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
