// The detached process of an emulator: serves until a signal arrives.

import type { Emulator } from "managed-identity-native/emulator";
import type { StartMessage, StartResult } from "./detached-protocol.js";
import { startEmulatorEndpoint } from "./emulator-runner.js";
import { UsageError } from "./errors.js";
import { waitForShutdownSignal } from "./signals.js";

export async function serveDetached(settings: StartMessage): Promise<void> {
  const shutdown = waitForShutdownSignal();
  const endpoint = await startOrReport(settings);
  if (endpoint === undefined) return;
  const { source, env, url } = endpoint;
  // If the parent has ended already, sending fails and the process must not stay behind: its pid is unknown.
  if (await send({ endpoint: { source, env, url, pid: process.pid } })) await shutdown;
  await endpoint.close();
}

/** Starts the endpoint, or reports to the parent why it could not start. */
async function startOrReport(settings: StartMessage): Promise<Emulator | undefined> {
  try {
    return await startEmulatorEndpoint(settings);
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
