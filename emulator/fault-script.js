"use strict";

// Fault injection: the queue of faults that a test has scripted, and how a fault changes a response.

const DROP_POINTS = ["before", "headers", "body"];
const NO_FAULT = Object.freeze({});

class FaultScript {
  #queue = [];
  #default = NO_FAULT;

  next(faults) {
    const list = Array.isArray(faults) ? faults : [faults];
    for (const fault of list) validateFault(fault);
    this.#queue.push(...list);
  }

  always(fault) {
    if (fault !== null) validateFault(fault);
    this.#default = fault ?? NO_FAULT;
  }

  /** Removes and returns the next fault of the queue; if the queue is empty, returns the one set by `always`. */
  take() {
    return this.#queue.shift() ?? this.#default;
  }
}

function validateFault(fault) {
  if (fault === null || typeof fault !== "object") {
    throw new TypeError("emulator: a fault is an object, such as { status: 503 }.");
  }
  if (fault.drop !== undefined && !DROP_POINTS.includes(fault.drop)) {
    throw new TypeError(`emulator: "drop" must be one of ${DROP_POINTS.join(", ")}.`);
  }
  if (fault.status !== undefined && !(fault.status >= 200 && fault.status <= 599)) {
    throw new TypeError('emulator: "status" must be from 200 to 599.');
  }
}

/** Returns the expiry that a fault sets, in seconds since 1970, or undefined if the token's lifetime decides. */
function scriptedExpiry({ expiresIn, expiresOn }, nowMs) {
  if (expiresOn instanceof Date) return Math.floor(expiresOn.getTime() / 1000);
  if (expiresOn !== undefined) return expiresOn;
  return expiresIn === undefined ? undefined : Math.floor(nowMs / 1000) + expiresIn;
}

/** Returns `response` changed by `fault`. `errorResponse` makes an error response in the source's format. */
function applyFault(fault, response, errorResponse, request) {
  const { status, headers, body } = fault;
  const isError = status !== undefined && status >= 300 && body === undefined;
  const base = isError ? errorResponse(status) : response;
  return {
    status: status ?? base.status,
    headers: mergeHeaders(base.headers, headers),
    body: typeof body === "function" ? body(response.body, request) : (body ?? base.body),
  };
}

/** Replaces headers case-insensitively; undefined or null removes one. */
function mergeHeaders(headers, changes = NO_FAULT) {
  const merged = { ...headers };
  for (const [name, value] of Object.entries(changes)) {
    for (const existing of Object.keys(merged)) {
      if (existing.toLowerCase() === name.toLowerCase()) delete merged[existing];
    }
    if (value !== undefined && value !== null) merged[name] = value;
  }
  return merged;
}

module.exports = { FaultScript, applyFault, scriptedExpiry };
