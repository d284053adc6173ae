// Starts an emulator in a process of its own that outlives the command, so that a shell can evaluate the command's
// output: `eval "$(managed-identity-native emulator --background)"`.

import { type ForkOptions, fork } from "node:child_process";
import { once } from "node:events";
import {
  type DetachedEndpoints,
  SERVE_DETACHED,
  type StartMessage,
  type StartResult,
} from "./detached-protocol.js";
import { CliError, UsageError } from "./errors.js";

/** `fork` passes on all options of `spawn`, of which its type lacks some. */
const OPTIONS: ForkOptions & { windowsHide: boolean } = {
  detached: true,
  stdio: ["ignore", "ignore", "ignore", "ipc"],
  windowsHide: true,
};

/** Resolves once the endpoints listen. */
export async function startDetachedEmulator(settings: StartMessage): Promise<DetachedEndpoints> {
  // The build puts the whole command line into one file, which is this one.
  const child = fork(__filename, [SERVE_DETACHED], OPTIONS);
  child.send(settings);
  const result = await Promise.race([
    once(child, "message").then(([message]): StartResult => message),
    // Not "exit", which can come before the last message.
    once(child, "close").then(
      (): StartResult => ({ message: "The emulator's process ended unexpectedly.", isUsageError: false }),
    ),
  ]);
  if (result.endpoints === undefined) {
    throw result.isUsageError ? new UsageError(result.message) : new CliError(result.message);
  }
  child.disconnect();
  child.unref();
  return result.endpoints;
}
