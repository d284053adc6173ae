"use strict";

// An emulator that outlives the command that started it, so that a shell can evaluate what that command prints:
// `eval "$(managed-identity-native emulator --background)"`. This file is both ends: the function that starts the
// process, and the process.

const { fork } = require("node:child_process");
const { once } = require("node:events");
const { Complaint, UsageError } = require("./complaint.js");
const { play } = require("./playing.js");
const { askedToEnd } = require("./signals.js");

/** The argument that makes the command line this process; it is not documented. */
const SERVE = "--serve-in-background";

/** Resolves with `{ source, env, url, pid }` once the endpoint listens. */
async function startInBackground(settings) {
  const child = fork(__filename, [SERVE], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    windowsHide: true,
  });
  child.send(settings);
  const ended = once(child, "exit").then(() => [{ message: "The emulator's process ended." }]);
  const [{ endpoint, message, isUsage }] = await Promise.race([once(child, "message"), ended]);
  if (endpoint === undefined) throw isUsage ? new UsageError(message) : new Complaint(message);
  child.disconnect();
  child.unref();
  return { ...endpoint, pid: child.pid };
}

/** The process: plays until it is told to end. */
async function serve(settings) {
  const end = askedToEnd();
  const endpoint = await play(settings).catch((error) => {
    process.send({ message: error.message, isUsage: error instanceof UsageError });
    process.disconnect();
  });
  if (endpoint === undefined) return;
  const { source, env, url } = endpoint;
  // The other end disconnects when it has this; if it is gone already, nobody knows of this process.
  const told = new Promise((resolve) => {
    process.send({ endpoint: { source, env, url } }, resolve);
  });
  if ((await told) === null) await end;
  await endpoint.close();
}

module.exports = { SERVE, serve, startInBackground };
