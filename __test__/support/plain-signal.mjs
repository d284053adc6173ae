// An abort signal without reasons and listener options, which @azure/core-auth permits.

/** A signal like that of @azure/abort-controller 1, with its own list of listeners. */
export class PlainSignal {
  aborted = false;
  listeners = [];

  addEventListener(_, listener) {
    this.listeners.push(listener);
  }

  removeEventListener(_, listener) {
    this.listeners = this.listeners.filter((other) => other !== listener);
  }

  abort() {
    this.aborted = true;
    for (const listener of this.listeners) listener.call(this, { type: "abort" });
  }
}
