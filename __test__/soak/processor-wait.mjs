// The time for which this process was ready to run and waited for a processor. On a busy machine a call exceeds its timeout
// by as much, whatever the package does.

import { readdirSync, readFileSync } from "node:fs";
import { has } from "../support/capabilities.mjs";

const THREADS = "/proc/self/task";
/** The name of the package's threads as far as Linux keeps it. The network thread is the first one. */
const NETWORK_THREAD = "managed-identit\n";

/**
 * Returns a function that returns how many milliseconds the main thread and the network thread, which serve a call in
 * turn, have waited since; 0 on systems that do not count it.
 */
export function startProcessorWait() {
  const before = readWait();
  return () => (readWait() - before) / 1e6;
}

/** Returns the nanoseconds for which the two threads have waited so far. */
function readWait() {
  if (!has("/proc")) return 0;
  networkThread ??= findNetworkThread();
  return [process.pid, networkThread].reduce((sum, thread) => sum + readThreadWait(thread), 0);
}

let networkThread;

function findNetworkThread() {
  return readdirSync(THREADS).find((thread) => readThreadFile(thread, "comm") === NETWORK_THREAD);
}

function readThreadWait(thread) {
  // Time on a processor and time of waiting for one (Documentation/scheduler/sched-stats.rst).
  return Number(readThreadFile(thread, "schedstat").split(" ")[1] ?? 0);
}

/** Returns the content of a file, or an empty text if the thread has ended or the kernel has no such file. */
function readThreadFile(thread, name) {
  try {
    return readFileSync(`${THREADS}/${thread}/${name}`, "utf8");
  } catch {
    return "";
  }
}
