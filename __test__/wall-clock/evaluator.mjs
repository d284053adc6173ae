// A process whose clocks its parent moves, and that runs functions which the parent sends as source text. All of them
// receive the same object, in which they keep state for the functions that follow.

import { createRequire } from "node:module";
import { serveMessages } from "../support/faketime-child.mjs";

const state = { require: createRequire(new URL("../support/child-program.mjs", import.meta.url)) };

// The source text is trusted: the parent is the test itself.
serveMessages(async ({ run, argument }) => ({
  value: await new Function(`return (${run})`)()(state, argument),
}));
