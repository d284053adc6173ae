// linux-x64-gnu: programs for the machine itself.

import { run as runProgram } from "./process.mjs";

export function prepare() {
  return { version: process.version };
}

export function run(_platform, program, args, { env, ...options } = {}) {
  return runProgram(program === "node" ? process.execPath : program, args, {
    ...options,
    env: { ...process.env, ...env },
  });
}
