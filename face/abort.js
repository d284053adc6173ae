"use strict";

/*
 * A caller's AbortSignal. Loaded for calls that bring one.
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
    const onAbort = () => {
      if (hasLeft) return;
      hasLeft = true;
      call.leave();
      reject(abortReason(signal));
    };
    const forget = whenAborted(signal, onAbort);
    if (signal.aborted) onAbort(); // By a getter of the request, or while it was being listened to.
    const settled = (settle) => (value) => {
      forget();
      if (signal.aborted)
        reject(abortReason(signal)); // An earlier listener may have stopped the event.
      else settle(value);
    };
    call.outcome.then(settled(resolve), settled(reject));
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

function abortReason({ reason }) {
  return reason === undefined
    ? new DOMException("The acquisition of a token was aborted.", "AbortError")
    : reason;
}

/** Who waits with which signal. A signal gets one listener of ours, since Node.js warns of many. */
const waitingWith = new WeakMap();

/** Calls back once the signal is aborted; the function that it returns takes that back. */
function whenAborted(signal, callback) {
  let waiting = waitingWith.get(signal);
  if (waiting === undefined) {
    waiting = new Set();
    waitingWith.set(signal, waiting);
    waiting.onAbort = () => {
      if (waitingWith.get(signal) !== waiting) return; // A signal that calls back twice.
      waitingWith.delete(signal);
      for (const call of waiting) call();
    };
    signal.addEventListener("abort", waiting.onAbort, { once: true });
  }
  waiting.add(callback);
  return () => {
    if (waiting.delete(callback) && waiting.size === 0 && waitingWith.get(signal) === waiting) {
      waitingWith.delete(signal);
      signal.removeEventListener("abort", waiting.onAbort);
    }
  };
}

module.exports.listenable = listenable;
module.exports.unlessAborted = unlessAborted;
