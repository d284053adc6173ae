// Runs a command with other environment variables. Input and output are inherited, signals are forwarded, and the exit
// code is passed on.

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { spawnArguments } from "../emulator/spawn-arguments.js";
import { EXIT } from "./exit-codes.js";
import { printMessage } from "./messages.js";
import { forwardSignals } from "./signals.js";

/** Resolves with the exit code that a shell would return. */
export async function runCommand(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const { file, args: spawnArgs, options } = spawnArguments(name, args, process.platform, env);
  let child: ChildProcess | undefined;
  // First, because a signal between the two would end this process and leave the command running.
  const stopForwarding = forwardSignals((signal) => child?.kill(signal));
  try {
    child = spawn(file, spawnArgs, { ...options, env, stdio: "inherit" });
    return await waitForExit(child);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    printMessage(`${name} could not be run: ${reason}`);
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return isMissing ? EXIT.notFound : EXIT.notExecutable;
  } finally {
    stopForwarding();
  }
}

function waitForExit(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      resolve(signal === null ? (code ?? EXIT.failure) : EXIT.signalled + constants.signals[signal]);
    });
  });
}
