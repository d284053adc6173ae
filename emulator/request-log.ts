// The requests received so far. Tests wait for a number of them, and hold them before they are answered, without any
// sleep.

import type { ReceivedRequest } from "./read-request.js";

interface Waiter {
  readonly count: number;
  resolve(): void;
  reject(error: Error): void;
}

export class RequestLog {
  readonly requests: ReceivedRequest[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #holds = new Set<Promise<void>>();
  #isClosed = false;

  add(request: ReceivedRequest): void {
    this.requests.push(request);
    for (const waiter of this.#waiters) {
      if (this.requests.length >= waiter.count) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
    }
  }

  /** Resolves when `count` requests have been received in total. Rejects if the endpoint closes first. */
  waitForCount(count: number): Promise<void> {
    if (this.requests.length >= count) return Promise.resolve();
    if (this.#isClosed) return Promise.reject(this.#tooFewRequests(count));
    const promise = new Promise<void>((resolve, reject) => {
      this.#waiters.add({ count, resolve, reject });
    });
    promise.catch(() => {
      // A test that fails elsewhere closes the endpoint without looking at this promise again.
    });
    return promise;
  }

  /** Holds all requests until the returned function is called, and until every other hold is released as well. */
  hold(): () => void {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#holds.add(held);
    return () => {
      this.#holds.delete(held);
      release();
    };
  }

  /** Resolves when no hold is left. */
  async waitUntilReleased(): Promise<void> {
    while (this.#holds.size > 0) await Promise.all(this.#holds);
  }

  close(): void {
    this.#isClosed = true;
    for (const waiter of this.#waiters) waiter.reject(this.#tooFewRequests(waiter.count));
    this.#waiters.clear();
  }

  #tooFewRequests(count: number): Error {
    return new Error(
      `emulator: waited for ${count} requests, but the endpoint closed after ${this.requests.length}.`,
    );
  }
}
