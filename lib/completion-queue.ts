/*
 * How messages arrive from native code: the outcomes of pending calls, and before them whatever belongs to their calls.
 */

import { deliverToCallbacks, releaseCallbacks } from "./call-callbacks.js";
import { type AcquisitionOutcome, binding, type JsFailure, type JsMessage } from "./native-binding.js";
import type { PendingCall } from "./pending-call.js";
import { promiseThen } from "./safe-objects.js";
import { forgetReplacedTokens } from "./token-memo.js";

/** The pending calls of this thread, by number. */
const pendingByNumber = new Map<number, PendingCall>();

/** The functions that resolve the pending flushes of this thread, by number. Calls have other numbers. */
const flushesByNumber = new Map<number, (isComplete: boolean) => void>();

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
  } else if (message.kind === "Flushed") {
    getQueue().endFlush(number, message.isComplete);
  } else {
    deliverToCallbacks(number, message, getQueue().native);
  }
}

/** The queue through which native code delivers messages. It keeps the process alive while a call or a flush is pending. */
export class CompletionQueue {
  readonly native = new binding.CompletionChannel(onMessage);
  #refCount = 0;

  ref(call: PendingCall): void {
    this.#ref();
    pendingByNumber.set(call.number, call);
  }

  unref(call: PendingCall): void {
    pendingByNumber.delete(call.number);
    this.#unref();
  }

  /**
   * Resolves with whether all acquisitions that are under way have ended within the timeout. Their messages have been
   * delivered then, because native code sends the end of a flush after them. Returns a failure if the timeout is invalid.
   */
  flush(number: number, timeout: unknown): Promise<boolean> | JsFailure {
    const failure = this.native.flush(number, timeout);
    if (failure !== null) return failure;
    this.#ref();
    return new Promise((resolve) => {
      flushesByNumber.set(number, resolve);
    });
  }

  endFlush(number: number, isComplete: boolean): void {
    flushesByNumber.get(number)?.(isComplete);
    flushesByNumber.delete(number);
    this.#unref();
  }

  #ref(): void {
    if (this.#refCount === 0) this.native.setRef(true);
    this.#refCount += 1;
  }

  #unref(): void {
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
