// The child's side of faketime.mjs: answers its parent's messages, and moves its own clocks.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const { environmentVariables } = createRequire(import.meta.url)("./binding.cjs");
const names = environmentVariables();

/**
 * Sets the variables that select a source. Every variable is always defined, and empty if `env` does not have it:
 * libfaketime calls getenv() in every thread that reads the time, and would crash if a variable were added or removed
 * meanwhile.
 */
export function setEnvironment(env) {
  for (const name of names) process.env[name] = env[name] ?? "";
}

/**
 * Answers each message with what `handle` returns for it, or with the error that it throws. A message that has `jump`
 * first sets the clocks to so many seconds ahead of the real time.
 */
export function serveMessages(handle) {
  process.on("message", async ({ id, jump, ...message }) => {
    if (jump !== undefined) {
      writeFileSync(process.env.FAKETIME_TIMESTAMP_FILE, `${jump < 0 ? "" : "+"}${jump}`);
      process.send({ id });
      return;
    }
    try {
      process.send({ id, ...(await handle(message)) });
    } catch (error) {
      process.send({ id, error: error.stack });
    }
  });
  process.send({ ready: true });
}
