/*
 * How messages arrive from native code: the outcomes of pending calls, and before them whatever belongs to their calls.
 */

import { deliverToCallbacks, releaseCallbacks } from "./call-callbacks.js";
import { type AcquisitionOutcome, binding, type JsMessage } from "./native-binding.js";
import type { PendingCall } from "./pending-call.js";
import { promiseThen } from "./safe-objects.js";
import { forgetReplacedTokens } from "./token-memo.js";

/** The pending calls of this thread, by number. */
const pendingByNumber = new Map<number, PendingCall>();

export function isPending(call: PendingCall): boolean {
  return pendingByNumber.has(call.number);
}

/** Native code's callback. It never throws. */
function onMessage(number: number, message: AcquisitionOutcome | JsMessage): void {
  if (message.kind === "Token" || message.kind === "Failure") {
    pendingByNumber.get(number)?.complete(message); // Absent if all of its waiters have left.
  } else if (message.kind === "Cleared") {
    forgetReplacedTokens(binding.generation());
  } else if (message.kind === "Released") {
    releaseCallbacks(number);
  } else {
    deliverToCallbacks(number, message, getQueue().native);
  }
}

/** The queue through which native code delivers messages. It keeps the process alive while a call is pending. */
export class CompletionQueue {
  readonly native = new binding.CompletionChannel(onMessage);
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

  /** Replaces the event loop's resource behind this queue by one of the current async context. */
  renew(): void {
    this.native.renew(onMessage, this.#refCount > 0);
  }
}

let queue: CompletionQueue | undefined;

/** Returns this thread's queue. */
export function getQueue(): CompletionQueue {
  queue ??= new CompletionQueue();
  return queue;
}

// The resource of the event loop is created once this module has loaded, in the async context that loads it. If a call
// created it, it would belong to the context of that call, keep its AsyncLocalStorage store alive for good, and be an open
// handle of the test that made the call. A call that does not wait for it gets one of its own, which is replaced.
promiseThen(Promise.resolve(), () => {
  if (queue === undefined) getQueue();
  else queue.renew();
});
