// Short soak tests. CONTRIBUTING.md describes the long ones: soak/run.mjs then also checks memory, and SOAK_CALLS=20000
// makes many calls to misbehaving endpoints.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { environmentWith } from "./support/environment.mjs";

const CALLS = process.env.SOAK_CALLS ?? "1500";
const IS_LONG = process.env.SOAK_CALLS !== undefined;
/** How long a call may take beyond 110 % of its timeout and the time of waiting for a processor, in ms. */
const SLACK = IS_LONG ? "500" : "1500";

function run(name, ...options) {
  const program = fileURLToPath(new URL(`soak/${name}`, import.meta.url));
  const flags = ["--expose-gc", "--unhandled-rejections=strict", program, ...options];
  return promisify(execFile)(process.execPath, flags, { env: environmentWith() });
}

test("3,000 mixed operations leak no descriptors and no handles", async (t) => {
  const { stdout, stderr } = await run("run.mjs", "3000", "1000");
  t.is(stderr, "");
  t.regex(stdout, /^3000 operations after 1000\n/);
});

test("mixed calls to misbehaving endpoints: no wrong token, no exceeded timeout, no leaks", async (t) => {
  t.timeout(IS_LONG ? 1_800_000 : 180_000);
  const options = [CALLS, SLACK, ...(process.env.SOAK_SEED === undefined ? [] : [process.env.SOAK_SEED])];
  const { stdout, stderr } = await run("misbehaving.mjs", ...options);
  t.is(stderr, "");
  t.log(stdout);
  const { tokens, aborted, errors, seen } = JSON.parse(stdout);
  t.true(tokens > 0 && aborted > 0 && Object.keys(errors).length >= 3, "every kind of result");
  t.true(Object.keys(seen).length >= 15, "nearly every kind of misbehaviour");
});
