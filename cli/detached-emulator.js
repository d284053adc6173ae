"use strict";

// An emulator in a process of its own that outlives the command, so that a shell can evaluate the command's output:
// `eval "$(managed-identity-native emulator --background)"`. This file contains both sides: the function that starts
// the process, and the process itself.

const { fork } = require("node:child_process");
const { once } = require("node:events");
const { startEmulatorEndpoint } = require("./emulator-runner.js");
const { CliError, UsageError } = require("./errors.js");
const { waitForShutdownSignal } = require("./signals.js");

/** The argument with which the command line becomes the detached process. It is not documented. */
const SERVE_DETACHED = "--serve-detached";

/** Resolves with `{ source, env, url, pid }` once the endpoint listens. */
async function startDetachedEmulator(settings) {
  const child = fork(__filename, [SERVE_DETACHED], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    windowsHide: true,
  });
  child.send(settings);
  const exited = once(child, "exit").then(() => [{ message: "The emulator's process ended unexpectedly." }]);
  const [{ endpoint, message, isUsage }] = await Promise.race([once(child, "message"), exited]);
  if (endpoint === undefined) throw isUsage ? new UsageError(message) : new CliError(message);
  child.disconnect();
  child.unref();
  return { ...endpoint, pid: child.pid };
}

/** The detached process: serves until a signal arrives. */
async function serveDetached(settings) {
  const shutdown = waitForShutdownSignal();
  const endpoint = await startEmulatorEndpoint(settings).catch((error) => {
    process.send({ message: error.message, isUsage: error instanceof UsageError });
    process.disconnect();
  });
  if (endpoint === undefined) return;
  const { source, env, url } = endpoint;
  // If the parent has ended already, sending fails and the process must not stay behind: its pid is unknown.
  const sendError = await new Promise((resolve) => {
    process.send({ endpoint: { source, env, url } }, resolve);
  });
  if (sendError === null) await shutdown;
  await endpoint.close();
}

module.exports = { SERVE_DETACHED, serveDetached, startDetachedEmulator };
