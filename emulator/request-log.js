"use strict";

// What arrived so far, those who wait for more of it, and the gate at which requests can be held.
// Everything here is driven by events: no test needs to sleep. It must not know what a request says.

class Arrivals {
  requests = [];
  #waiters = new Set();
  #holds = new Set();
  #closed = false;

  record(request) {
    this.requests.push(request);
    for (const waiter of this.#waiters) {
      if (this.requests.length >= waiter.count) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
    }
  }

  /** Resolves when `count` requests have arrived in all; rejects when the endpoint closes before. */
  reached(count) {
    if (this.requests.length >= count) return Promise.resolve();
    if (this.#closed) return Promise.reject(this.#tooFew(count));
    const promise = new Promise((resolve, reject) => {
      this.#waiters.add({ count, resolve, reject });
    });
    promise.catch(() => {
      // A test that fails elsewhere closes the endpoint without looking at this promise again.
    });
    return promise;
  }

  /** Shuts the gate; the function that is returned opens it, once all who shut it have done so. */
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

  /** Resolves when nobody holds the gate. */
  async passage() {
    while (this.#holds.size > 0) await Promise.all(this.#holds);
  }

  close() {
    this.#closed = true;
    for (const waiter of this.#waiters) waiter.reject(this.#tooFew(waiter.count));
    this.#waiters.clear();
  }

  #tooFew(count) {
    return new Error(`emulator: closed after ${this.requests.length} requests, ${count} were awaited.`);
  }
}

module.exports = { Arrivals };
