/*
 * Aborting a call. The caller's AbortSignal may be any implementation: whatever its methods and getters do, the call
 * settles.
 */

import type { AbortSignalLike } from "../index.js";
import type { AcquisitionOutcome } from "./native-binding.js";

/** A pending call, as aborting it needs it. */
type Abortable = {
  removeWaiter(): void;
  onceComplete(callback: (outcome: AcquisitionOutcome) => void): void;
};

/** Returns a caller's signal; undefined if absent, null if it is not a signal. Throws the reason of an aborted one. */
export function checkAbortSignal(signal: unknown): AbortSignalLike | null | undefined {
  if (signal === undefined || signal === null) return undefined;
  if (!isAbortSignal(signal)) return null;
  if (signal.aborted) throw abortReason(signal);
  return signal;
}

/** Resolves with a call's outcome, or rejects with the signal's reason if the signal is aborted first. */
export function raceAbort(call: Abortable, signal: AbortSignalLike): Promise<AcquisitionOutcome> {
  return new Promise((resolve, reject) => {
    let hasLeft = false;
    const leave = (error: unknown) => {
      if (hasLeft) return;
      hasLeft = true;
      call.removeWaiter();
      reject(error);
    };
    let unsubscribe: () => void;
    try {
      unsubscribe = onAbort(signal, () => leave(abortReason(signal)));
    } catch (error) {
      // A call that cannot be aborted must not start: the owner of the signal relies on it.
      leave(error);
      return;
    }
    if (isAborted(signal)) leave(abortReason(signal)); // A getter of the request or addEventListener aborted it.
    call.onceComplete((outcome) => {
      unsubscribe();
      if (isAborted(signal)) {
        reject(abortReason(signal)); // The event may have been stopped or never sent.
      } else {
        resolve(outcome);
      }
    });
  });
}

function isAbortSignal(value: unknown): value is AbortSignalLike {
  if (typeof value !== "object" || value === null) return false;
  const signal = value as Partial<AbortSignalLike>;
  return (
    typeof signal.aborted === "boolean" &&
    typeof signal.addEventListener === "function" &&
    typeof signal.removeEventListener === "function"
  );
}

/** Whether a signal is aborted; false if its getter throws. */
function isAborted(signal: AbortSignalLike): boolean {
  try {
    return signal.aborted === true;
  } catch {
    return false;
  }
}

/** Returns a signal's reason; an AbortError if it has none or its getter throws. */
function abortReason(signal: AbortSignalLike): unknown {
  try {
    const { reason } = signal;
    if (reason !== undefined) return reason;
  } catch {
    // The caller expects an abort, not an error about the signal.
  }
  return new DOMException("The acquisition of a token was aborted.", "AbortError");
}

type Subscription = {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
};

/**
 * The callbacks of each signal and the one listener that calls them, because Node.js warns of many listeners. An entry
 * lives as long as its signal, so that a signal which fails to remove the listener gets the same one again.
 */
const listenersBySignal = new WeakMap<AbortSignalLike, Subscription>();

/** Calls a function when the signal is aborted. Returns a function that unsubscribes and never throws. */
function onAbort(signal: AbortSignalLike, callback: () => void): () => void {
  const { callbacks, listener } = listenersBySignal.get(signal) ?? createSubscription(signal);
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

function createSubscription(signal: AbortSignalLike): Subscription {
  const callbacks = new Set<() => void>();
  const listener = () => {
    const called = new Set(callbacks);
    callbacks.clear(); // First, in case the signal calls the listener twice or from removeEventListener.
    called.forEach((call) => {
      call();
    });
  };
  const subscription = { callbacks, listener };
  listenersBySignal.set(signal, subscription);
  return subscription;
}
