"use strict";

// The answers that a test scripted: what is wrong with the next requests, and how that changes the
// host's own answer. It must not know a host or a socket.

const DROPS = ["before", "headers", "body"];
const NOTHING = Object.freeze({});

class Script {
  #queue = [];
  #standing = NOTHING;

  next(faults) {
    const list = Array.isArray(faults) ? faults : [faults];
    for (const fault of list) check(fault);
    this.#queue.push(...list);
  }

  always(fault) {
    if (fault !== null) check(fault);
    this.#standing = fault ?? NOTHING;
  }

  /** The fault of the request that has just arrived: the next in the row, else the standing one. */
  take() {
    return this.#queue.shift() ?? this.#standing;
  }
}

function check(fault) {
  if (fault === null || typeof fault !== "object") {
    throw new TypeError("emulator: a fault is an object, such as { status: 503 }.");
  }
  if (fault.drop !== undefined && !DROPS.includes(fault.drop)) {
    throw new TypeError(`emulator: "drop" must be one of ${DROPS.join(", ")}.`);
  }
  if (fault.status !== undefined && !(fault.status >= 200 && fault.status <= 599)) {
    throw new TypeError('emulator: "status" must be from 200 to 599.');
  }
}

/**
 * The expiry, in seconds since 1970, that a fault asks of the token; undefined leaves it to the lifetime.
 */
function expiryOf({ expiresIn, expiresOn }, nowMs) {
  if (expiresOn instanceof Date) return Math.floor(expiresOn.getTime() / 1000);
  if (expiresOn !== undefined) return expiresOn;
  return expiresIn === undefined ? undefined : Math.floor(nowMs / 1000) + expiresIn;
}

/** `answer`, the host's own, as `fault` changes it; `fail` is the host's form of a failure. */
function distort(fault, answer, fail, request) {
  const { status, headers, body } = fault;
  const failing = status !== undefined && status >= 300 && body === undefined;
  const base = failing ? fail(status) : answer;
  return {
    status: status ?? base.status,
    headers: merge(base.headers, headers),
    body: typeof body === "function" ? body(answer.body, request) : (body ?? base.body),
  };
}

/** A header that is replaced keeps nothing of the old one; undefined or null takes it away. */
function merge(headers, changes = NOTHING) {
  const merged = { ...headers };
  for (const [name, value] of Object.entries(changes)) {
    for (const old of Object.keys(merged)) {
      if (old.toLowerCase() === name.toLowerCase()) delete merged[old];
    }
    if (value !== undefined && value !== null) merged[name] = value;
  }
  return merged;
}

module.exports = { Script, distort, expiryOf };
