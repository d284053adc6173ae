// A short soak; the long one is run by hand, and judges memory too: see soak/run.mjs.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { environmentWith } from "./support/environment.mjs";

test("3,000 mixed operations leave no descriptor and no handle behind", async (t) => {
  const program = fileURLToPath(new URL("soak/run.mjs", import.meta.url));
  const flags = ["--expose-gc", "--unhandled-rejections=strict", program, "3000", "1000"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, flags, { env: environmentWith() });
  t.is(stderr, "");
  t.regex(stdout, /^3000 operations after 1000\n/);
});
