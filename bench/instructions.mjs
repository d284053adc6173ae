// The metric that does not drift: how many instructions a cached call takes, counted by valgrind's callgrind as the
// difference between a run with so many calls and one with twice as many.

import { join } from "node:path";
import { measured, output } from "./processes.mjs";

const CALLS = 100_000; // Enough for the compiler to be done within the first run.

/** The count for each contender, or, as a string, why there is none. */
export async function instructions(installed, endpoint) {
  const found = await output("valgrind", ["--version"]).catch(() => undefined);
  if (found === undefined) return "valgrind is not installed";
  const counts = {};
  for (const [contender, calls] of [
    ["native", CALLS],
    ["msal", CALLS / 5],
  ]) {
    const once = await counted(installed[contender].folder, { contender, calls }, endpoint);
    const twice = await counted(installed[contender].folder, { contender, calls: 2 * calls }, endpoint);
    counts[contender] = Math.round((twice - once) / calls);
  }
  return counts;
}

async function counted(folder, plan, endpoint) {
  const command = [
    "valgrind",
    "--tool=callgrind",
    "--smc-check=all-non-file", // Node.js compiles as it runs.
    `--callgrind-out-file=${join(folder, "callgrind.out")}`,
  ];
  // On one thread, garbage is collected and code compiled at the same places in each run.
  const flags = ["--single-threaded"];
  const { stderr } = await measured({ folder, program: "calls.mjs", plan, flags, command }, endpoint);
  const collected = /Collected : (\d+)/.exec(stderr);
  if (collected === null) throw new Error(`callgrind did not say what it collected:\n${stderr}`);
  return Number(collected[1]);
}
