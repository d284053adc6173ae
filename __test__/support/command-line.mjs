// Runs the command line in a process of its own, with pipes or in a terminal.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { limitConcurrency } from "./concurrency-limit.mjs";
import { environmentWith } from "./environment.mjs";

export const MAIN = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
/** The command that starts it. */
export const PROGRAM = [process.execPath, MAIN];

/** Variables of the tests' environment that would change colours. */
const COLOR_VARIABLES = {
  FORCE_COLOR: undefined,
  NO_COLOR: undefined,
  NODE_DISABLE_COLORS: undefined,
  TERM: "xterm",
};

/**
 * Starts the command line with `args`. `before` precedes the command. `env` is added to the test's environment, and
 * undefined removes a variable. Returns `child`, `waitForOutput(pattern, stream)`, which resolves with the first match,
 * and `ended`, which resolves with `{ code, signal, stdout, stderr }`.
 */
export function start(t, args, options) {
  return startCommand(t, [...PROGRAM, ...args], options);
}

/** Like `start`, with another command. Other options are those of `spawn`. */
export function startCommand(t, command, { before = [], env = {}, stdin = "ignore", ...options } = {}) {
  const [file, ...args] = [...before, ...command];
  const variables = Object.entries(environmentWith({ ...COLOR_VARIABLES, ...env }));
  const child = spawn(file, args, {
    ...options,
    env: Object.fromEntries(variables.filter(([, value]) => value !== undefined)),
    stdio: [stdin, "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const listeners = new Set();
  for (const stream of ["stdout", "stderr"]) {
    child[stream].setEncoding("utf8").on("data", (chunk) => {
      output[stream] += chunk;
      for (const listener of listeners) listener();
    });
  }
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, ...output }));
  // SIGTERM, not SIGKILL, so that an emulator removes its files.
  t.teardown(() => {
    child.stdin?.destroy();
    child.kill("SIGTERM");
    return ended;
  });
  const waitForOutput = (pattern, stream = "stdout") =>
    new Promise((resolve, reject) => {
      const check = () => {
        const match = pattern.exec(output[stream]);
        if (match === null) return;
        listeners.delete(check);
        resolve(match);
      };
      listeners.add(check);
      ended.then(
        (end) => reject(new Error(`the output never matched ${pattern}: ${JSON.stringify(end)}`)),
        reject,
      );
      check();
    });
  return { child, ended, waitForOutput };
}

const inTurn = limitConcurrency(4);

/** Runs the command line to its end, at most four at one time. For a command that another one ends, use `start`. */
export function run(t, args, options) {
  return inTurn(() => start(t, args, options).ended);
}

/**
 * Returns a command for `startCommand` that runs another command in a terminal, whose output is its stdout. `exec`
 * replaces the shell that `script` starts, because a shell that stays, such as dash, would be ended by Ctrl-C.
 */
export function inTerminal(command) {
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return ["script", "--quiet", "--return", "--command", `exec ${line}`, "/dev/null"];
}
