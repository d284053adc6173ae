// A process whose clocks its parent sets, and that runs functions which the parent sends as their source text. Each gets
// the same object, in which it keeps what the next one needs.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const kept = { require: createRequire(new URL("../support/program.mjs", import.meta.url)) };

process.on("message", async ({ id, leap, run, argument }) => {
  try {
    if (leap !== undefined) writeFileSync(process.env.FAKETIME_TIMESTAMP_FILE, `+${leap}`);
    // The parent is the test itself.
    const value = run === undefined ? undefined : await new Function(`return (${run})`)()(kept, argument);
    process.send({ id, value });
  } catch (error) {
    process.send({ id, error: error.stack });
  }
});

process.send({ ready: true });
