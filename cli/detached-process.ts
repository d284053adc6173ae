// The detached process of an emulator: serves until a signal arrives.

import type { StartMessage, StartResult } from "./detached-protocol.js";
import { type RunningEmulators, startEmulators } from "./emulator-runner.js";
import { UsageError } from "./errors.js";
import { waitForShutdownSignal } from "./signals.js";

export async function serveDetached(settings: StartMessage): Promise<void> {
  const shutdown = waitForShutdownSignal();
  const running = await startOrReport(settings);
  if (running === undefined) return;
  const { sources, env, urls } = running;
  // If the parent has ended already, sending fails and the process must not stay behind: its pid is unknown.
  if (await send({ endpoints: { sources, env, urls, pid: process.pid } })) await shutdown;
  await running.close();
}

/** Starts the endpoints, or reports to the parent why one could not start. */
async function startOrReport(settings: StartMessage): Promise<RunningEmulators | undefined> {
  try {
    return await startEmulators(settings);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await send({ message, isUsageError: error instanceof UsageError });
    process.disconnect();
    return undefined;
  }
}

/** Sends a message to the parent process. Resolves with whether it was sent. */
function send(result: StartResult): Promise<boolean> {
  return new Promise((resolve) => {
    process.send?.(result, (error: Error | null) => resolve(error === null));
  });
}
