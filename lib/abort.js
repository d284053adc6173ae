"use strict";

/*
 * A caller's AbortSignal, which need not be Node.js's: whatever its methods and getters do, the call settles. Loaded
 * for calls that bring one.
 */

/** A caller's signal; null if it is none. Throws its reason if it is aborted. */
function listenable(signal) {
  if (!isAbortSignal(signal)) return null;
  if (signal.aborted) throw abortReason(signal);
  return signal;
}

/** What a call ends with; the signal's reason if that is aborted before. */
function unlessAborted(call, signal) {
  return new Promise((resolve, reject) => {
    let hasLeft = false;
    const leave = (error) => {
      if (hasLeft) return;
      hasLeft = true;
      call.leave();
      reject(error);
    };
    let forget;
    try {
      forget = whenAborted(signal, () => leave(abortReason(signal)));
    } catch (error) {
      // The call could not be aborted any more, and the owner of the signal relies on that.
      leave(error);
      return;
    }
    if (isAborted(signal)) leave(abortReason(signal)); // By a getter of the request, or while it was being listened to.
    call.whenEnded((outcome) => {
      forget();
      if (isAborted(signal)) {
        reject(abortReason(signal)); // An earlier listener may have stopped the event, or there never was one.
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

/** Whether a signal is aborted; one that cannot say so any more is not. */
function isAborted(signal) {
  try {
    return signal.aborted === true;
  } catch {
    return false;
  }
}

/** A signal's reason; an AbortError for a signal that gives none, or whose getter throws. */
function abortReason(signal) {
  try {
    const { reason } = signal;
    if (reason !== undefined) return reason;
  } catch {
    // A caller looks for the abort, not for what is wrong with the signal.
  }
  return new DOMException("The acquisition of a token was aborted.", "AbortError");
}

/**
 * The callbacks of each signal, with the one listener that serves them: Node.js warns of many. An entry lives as long
 * as its signal, so that a signal which fails to remove the listener is given the same one again, and keeps no more.
 */
const listeners = new WeakMap();

/** Calls back once the signal is aborted; the function that it returns takes that back and never throws. */
function whenAborted(signal, callback) {
  let entry = listeners.get(signal);
  if (entry === undefined) {
    const callbacks = new Set();
    const onAbort = () => {
      const called = new Set(callbacks);
      callbacks.clear(); // First, for a signal that calls back twice or from within removeEventListener.
      called.forEach((call) => {
        call();
      });
    };
    entry = { callbacks, onAbort };
    listeners.set(signal, entry);
  }
  const { callbacks, onAbort } = entry;
  callbacks.add(callback); // First, for a signal that calls back from within addEventListener.
  try {
    if (callbacks.size === 1) signal.addEventListener("abort", onAbort, { once: true });
  } catch (error) {
    callbacks.delete(callback);
    throw error;
  }
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return;
    try {
      signal.removeEventListener("abort", onAbort);
    } catch {
      // The listener that stays holds no call.
    }
  };
}

module.exports.listenable = listenable;
module.exports.unlessAborted = unlessAborted;
