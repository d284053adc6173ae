"use strict";

/*
 * Aborting a call. The caller's AbortSignal may be any implementation: whatever its methods and getters do, the call
 * settles.
 */

/** Returns the signal; null if the value is not a signal. Throws the reason of an aborted one. */
function checkAbortSignal(signal) {
  if (!isAbortSignal(signal)) return null;
  if (signal.aborted) throw abortReason(signal);
  return signal;
}

/** Resolves with a call's outcome, or rejects with the signal's reason if the signal is aborted first. */
function raceAbort(call, signal) {
  return new Promise((resolve, reject) => {
    let hasLeft = false;
    const leave = (error) => {
      if (hasLeft) return;
      hasLeft = true;
      call.removeWaiter();
      reject(error);
    };
    let forget;
    try {
      forget = onAbort(signal, () => leave(abortReason(signal)));
    } catch (error) {
      // A call that cannot be aborted must not start: the owner of the signal relies on it.
      leave(error);
      return;
    }
    if (isAborted(signal)) leave(abortReason(signal)); // A getter of the request or addEventListener aborted it.
    call.onceComplete((outcome) => {
      forget();
      if (isAborted(signal)) {
        reject(abortReason(signal)); // The event may have been stopped or never sent.
      } else {
        resolve(outcome);
      }
    });
  });
}

function isAbortSignal(value) {
  return (
    typeof value === "object" &&
    typeof value.aborted === "boolean" &&
    typeof value.addEventListener === "function" &&
    typeof value.removeEventListener === "function"
  );
}

/** Whether a signal is aborted; false if its getter throws. */
function isAborted(signal) {
  try {
    return signal.aborted === true;
  } catch {
    return false;
  }
}

/** Returns a signal's reason; an AbortError if it has none or its getter throws. */
function abortReason(signal) {
  try {
    const { reason } = signal;
    if (reason !== undefined) return reason;
  } catch {
    // The caller expects an abort, not an error about the signal.
  }
  return new DOMException("The acquisition of a token was aborted.", "AbortError");
}

/**
 * The callbacks of each signal and the one listener that calls them, because Node.js warns of many listeners. An entry
 * lives as long as its signal, so that a signal which fails to remove the listener gets the same one again.
 */
const listenersBySignal = new WeakMap();

/** Calls a function when the signal is aborted. Returns a function that unsubscribes and never throws. */
function onAbort(signal, callback) {
  let entry = listenersBySignal.get(signal);
  if (entry === undefined) {
    const callbacks = new Set();
    const listener = () => {
      const called = new Set(callbacks);
      callbacks.clear(); // First, in case the signal calls the listener twice or from removeEventListener.
      called.forEach((call) => {
        call();
      });
    };
    entry = { callbacks, listener };
    listenersBySignal.set(signal, entry);
  }
  const { callbacks, listener } = entry;
  callbacks.add(callback); // First, in case addEventListener calls the listener.
  try {
    if (callbacks.size === 1) signal.addEventListener("abort", listener, { once: true });
  } catch (error) {
    callbacks.delete(callback);
    throw error;
  }
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return;
    try {
      signal.removeEventListener("abort", listener);
    } catch {
      // The listener that remains holds no call.
    }
  };
}

module.exports.checkAbortSignal = checkAbortSignal;
module.exports.raceAbort = raceAbort;
