"use strict";

// The requests received so far. Tests wait for a number of them, and hold them before they are answered, without any
// sleep.

class RequestLog {
  requests = [];
  #waiters = new Set();
  #holds = new Set();
  #isClosed = false;

  add(request) {
    this.requests.push(request);
    for (const waiter of this.#waiters) {
      if (this.requests.length >= waiter.count) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
    }
  }

  /** Resolves when `count` requests have been received in total. Rejects if the endpoint closes first. */
  waitForCount(count) {
    if (this.requests.length >= count) return Promise.resolve();
    if (this.#isClosed) return Promise.reject(this.#tooFewRequests(count));
    const promise = new Promise((resolve, reject) => {
      this.#waiters.add({ count, resolve, reject });
    });
    promise.catch(() => {
      // A test that fails elsewhere closes the endpoint without looking at this promise again.
    });
    return promise;
  }

  /** Holds all requests until the returned function is called, and until every other hold is released as well. */
  hold() {
    let release;
    const held = new Promise((resolve) => {
      release = resolve;
    });
    this.#holds.add(held);
    return () => {
      this.#holds.delete(held);
      release();
    };
  }

  /** Resolves when no hold is left. */
  async waitUntilReleased() {
    while (this.#holds.size > 0) await Promise.all(this.#holds);
  }

  close() {
    this.#isClosed = true;
    for (const waiter of this.#waiters) waiter.reject(this.#tooFewRequests(waiter.count));
    this.#waiters.clear();
  }

  #tooFewRequests(count) {
    return new Error(
      `emulator: waited for ${count} requests, but the endpoint closed after ${this.requests.length}.`,
    );
  }
}

module.exports = { RequestLog };
