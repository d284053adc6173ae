// The command line as its users have it: the real program in a process of its own, with pipes or in a terminal.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { environmentWith } from "./environment.mjs";

export const MAIN = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
/** What starts it. */
export const PROGRAM = [process.execPath, MAIN];

/** Whoever runs the tests may have opinions about colours, which are none of the tests'. */
const NEUTRAL = {
  FORCE_COLOR: undefined,
  NO_COLOR: undefined,
  NODE_DISABLE_COLORS: undefined,
  TERM: "xterm",
};

/**
 * Starts the program with `args`. `before` is put before its command, `env` is added to the test's environment;
 * undefined takes a variable out. What is returned has `child`, `saying(pattern, stream)`, which resolves with the
 * match once the stream has said it, and `ended`: `{ code, signal, stdout, stderr }`.
 */
export function start(t, args, options) {
  return startCommand(t, [...PROGRAM, ...args], options);
}

/** The same with any other command. */
export function startCommand(t, command, { before = [], env = {}, stdin = "ignore" } = {}) {
  const [file, ...args] = [...before, ...command];
  const variables = Object.entries(environmentWith({ ...NEUTRAL, ...env }));
  const child = spawn(file, args, {
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
  // Not killed: an emulator would leave its files behind.
  t.teardown(() => {
    child.stdin?.destroy();
    child.kill("SIGTERM");
    return ended;
  });
  const saying = (pattern, stream = "stdout") =>
    new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(output[stream]);
        if (match === null) return;
        listeners.delete(look);
        resolve(match);
      };
      listeners.add(look);
      ended.then((end) => reject(new Error(`it never said ${pattern}: ${JSON.stringify(end)}`)), reject);
      look();
    });
  return { child, ended, saying };
}

/** Runs it to its end. */
export function run(t, args, options) {
  return start(t, args, options).ended;
}

/**
 * A command for `startCommand` by which another runs in a terminal; what it prints arrives as its stdout. The shell
 * that `script` starts makes room for the command: one that stays, as dash does, dies of a Ctrl-C itself.
 */
export function inTerminal(command) {
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return ["script", "--quiet", "--return", "--command", `exec ${line}`, "/dev/null"];
}
