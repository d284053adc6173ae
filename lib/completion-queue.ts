/*
 * How the outcomes of pending calls arrive from native code.
 */

import { type AcquisitionOutcome, binding } from "./native-binding.js";
import type { PendingCall } from "./pending-call.js";
import { forgetReplacedTokens } from "./token-memo.js";

/** The pending calls of this thread, by number. */
const pendingByNumber = new Map<number, PendingCall>();

export function isPending(call: PendingCall): boolean {
  return pendingByNumber.has(call.number);
}

/** Native code's callback. It never throws. */
function onComplete(number: number, outcome: AcquisitionOutcome): void {
  if (outcome.kind === "Cleared") forgetReplacedTokens(binding.generation());
  pendingByNumber.get(number)?.complete(outcome); // Absent if all of its waiters have left.
}

/** The queue through which native code delivers outcomes. It keeps the process alive while a call is pending. */
export class CompletionQueue {
  readonly native = new binding.CompletionChannel(onComplete);
  #refCount = 0;

  ref(call: PendingCall): void {
    if (this.#refCount === 0) this.native.setRef(true);
    this.#refCount += 1;
    pendingByNumber.set(call.number, call);
  }

  unref(call: PendingCall): void {
    pendingByNumber.delete(call.number);
    this.#refCount -= 1;
    if (this.#refCount === 0) this.native.setRef(false);
  }
}

let sharedQueue: CompletionQueue | undefined;

/** Returns the queue that all applications without a logger or an observer share. */
export function getSharedQueue(): CompletionQueue {
  sharedQueue ??= new CompletionQueue();
  return sharedQueue;
}
