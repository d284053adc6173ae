// The metric without noise: the instructions of a cached call, counted by callgrind of valgrind as the difference
// between a run with some number of calls and a run with twice as many.

import { join } from "node:path";
import { measure, output } from "./processes.mjs";

const CALLS = 100_000; // Enough for the optimizing compiler to finish within the first run.

/** The instructions per call of each contender, or a string with the reason why there is none. */
export async function instructions(installed, endpoint) {
  const found = await output("valgrind", ["--version"]).catch(() => undefined);
  if (found === undefined) return "valgrind is not installed";
  const counts = {};
  for (const [contender, calls] of [
    ["native", CALLS],
    ["msal", CALLS / 5],
  ]) {
    const once = await countInstructions(installed[contender].directory, { contender, calls }, endpoint);
    const twice = await countInstructions(
      installed[contender].directory,
      { contender, calls: 2 * calls },
      endpoint,
    );
    counts[contender] = Math.round((twice - once) / calls);
  }
  return counts;
}

async function countInstructions(directory, plan, endpoint) {
  const command = [
    "valgrind",
    "--tool=callgrind",
    "--smc-check=all-non-file", // Required because Node.js compiles code at run time.
    `--callgrind-out-file=${join(directory, "callgrind.out")}`,
  ];
  // With a single thread, garbage collection and compilation happen at the same points in each run.
  const flags = ["--single-threaded"];
  const { stderr } = await measure({ directory, program: "calls.mjs", plan, flags, command }, endpoint);
  const collected = /Collected : (\d+)/.exec(stderr);
  if (collected === null) throw new Error(`callgrind printed no count:\n${stderr}`);
  return Number(collected[1]);
}
