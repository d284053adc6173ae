/*
 * One native call that has not completed, and its waiters.
 */

import type { AbortSignalLike } from "../index.js";
import { raceAbort } from "./abort.js";
import { type CompletionQueue, isPending } from "./completion-queue.js";
import { type EnvironmentSnapshot, isCurrent } from "./environment.js";
import { type AcquisitionOutcome, binding } from "./native-binding.js";
import type { TokenResult } from "./result.js";
import { blockThenable, promiseThen } from "./safe-objects.js";

const { generation } = binding;

let lastCallNumber = 0;

/** Returns the number by which native code names a call. */
export function nextCallNumber(): number {
  lastCallNumber = (lastCallNumber + 1) >>> 0; // A u32 in native code.
  return lastCallNumber;
}

/** Converts an outcome to a result; throws the error of a failure. */
export type Settle = (outcome: AcquisitionOutcome) => TokenResult | Promise<TokenResult>;

/** One pending native call and its waiters. */
export class PendingCall {
  readonly outcome: Promise<AcquisitionOutcome>;
  readonly number = nextCallNumber();
  /** Settles each call that shares this one, once sharing is allowed. */
  settleShared: Settle | undefined;
  #settle: ((outcome: AcquisitionOutcome) => void) | undefined;
  readonly #queue: CompletionQueue;
  readonly #startedAt: number;
  readonly #generation: number;
  readonly #environment: EnvironmentSnapshot;
  #relevantVariables = 0;
  #shared: Map<string, PendingCall> | undefined;
  #resource = "";
  #waiters = 0;
  #isReleased = false;

  constructor(
    queue: CompletionQueue,
    startedAt: number,
    generationAtStart: number,
    environment: EnvironmentSnapshot,
  ) {
    this.#queue = queue;
    this.#startedAt = startedAt;
    this.#generation = generationAtStart;
    this.#environment = environment;
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
    if (this.#settle === undefined) {
      // The executor overflowed the stack and the promise swallowed the error, so throw it here.
      promiseThen(this.outcome, undefined, ignore);
      throw new RangeError("Maximum call stack size exceeded");
    }
  }

  /** Marks the call as pending. `variables` is how many environment variables, from the front, are relevant. */
  start(variables: number): void {
    this.#relevantVariables = variables;
    this.#queue.ref(this);
  }

  /** Allows further calls for this resource to share this one; `settle` settles each of them. */
  allowSharing(pending: Map<string, PendingCall>, resource: string, settle: Settle): void {
    this.settleShared = settle;
    this.#shared = pending;
    this.#resource = resource;
    pending.set(resource, this);
  }

  /**
   * Whether a call that starts now can share this one. It gets the timeout of the first call, so both must start in
   * the same millisecond, and native code would have to do the same for both.
   */
  canShareAt(now: number): boolean {
    return (
      !this.#isReleased &&
      this.#startedAt === now &&
      this.#generation === generation() &&
      isCurrent(this.#environment, this.#relevantVariables)
    );
  }

  /** Adds a waiter. Its promise settles with the outcome, or when its signal is aborted. */
  wait(signal: AbortSignalLike | null | undefined): Promise<AcquisitionOutcome> {
    this.#waiters += 1;
    return signal === undefined || signal === null ? this.outcome : raceAbort(this, signal);
  }

  /** Calls a function with the outcome. */
  onceComplete(callback: (outcome: AcquisitionOutcome) => void): void {
    promiseThen(this.outcome, callback);
  }

  /** Makes later calls start native calls of their own. */
  stopSharing(): void {
    if (this.#shared?.get(this.#resource) === this) this.#shared.delete(this.#resource);
  }

  complete(outcome: AcquisitionOutcome): void {
    this.#close();
    this.#settle?.(blockThenable(outcome));
  }

  /** Removes a waiter. Without waiters the native call is released, so that it does not keep the process alive. */
  removeWaiter(): void {
    this.#waiters -= 1;
    if (this.#waiters > 0 || !isPending(this)) return;
    this.#isReleased = true;
    this.#close();
    this.#queue.native.cancel(this.number);
  }

  #close(): void {
    this.#queue.unref(this);
    this.stopSharing();
  }
}

function ignore(): void {}
