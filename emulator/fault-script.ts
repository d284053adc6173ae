// Fault injection: the queue of faults that a test has scripted, and how a fault changes a response.

import type { OutgoingHttpHeaders } from "node:http";
import type { Fault, RecordedRequest } from "managed-identity-native/emulator";
import type { SourceResponse } from "./sources/source.js";

const DROP_POINTS: readonly unknown[] = ["before", "headers", "body"];
const NO_FAULT: Fault = Object.freeze({});

export class FaultScript {
  readonly #queue: Fault[] = [];
  #default = NO_FAULT;

  next(faults: Fault | readonly Fault[]): void {
    const list = isList(faults) ? faults : [faults];
    for (const fault of list) validateFault(fault);
    this.#queue.push(...list);
  }

  always(fault: Fault | null): void {
    if (fault !== null) validateFault(fault);
    this.#default = fault ?? NO_FAULT;
  }

  /** Removes and returns the next fault of the queue; if the queue is empty, returns the one set by `always`. */
  take(): Fault {
    return this.#queue.shift() ?? this.#default;
  }
}

function isList(faults: Fault | readonly Fault[]): faults is readonly Fault[] {
  return Array.isArray(faults);
}

function validateFault(fault: Fault | undefined): void {
  if (fault === undefined || fault === null || typeof fault !== "object") {
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
export function scriptedExpiry({ expiresIn, expiresOn }: Fault, nowMs: number): number | undefined {
  if (expiresOn instanceof Date) return Math.floor(expiresOn.getTime() / 1000);
  if (expiresOn !== undefined) return expiresOn;
  return expiresIn === undefined ? undefined : Math.floor(nowMs / 1000) + expiresIn;
}

/** Returns `response` changed by `fault`. `errorResponse` makes an error response in the source's format. */
export function applyFault(
  fault: Fault,
  response: SourceResponse,
  errorResponse: (status: number) => SourceResponse,
  request: RecordedRequest,
): SourceResponse {
  const { status, headers = {}, body } = fault;
  const isError = status !== undefined && status >= 300 && body === undefined;
  const base = isError ? errorResponse(status) : response;
  return {
    status: status ?? base.status,
    headers: mergeHeaders(base.headers, headers),
    body: typeof body === "function" ? body(response.body, request) : (body ?? base.body),
  };
}

/** Replaces headers case-insensitively; undefined or null removes one. */
function mergeHeaders(
  headers: OutgoingHttpHeaders,
  changes: NonNullable<Fault["headers"]>,
): OutgoingHttpHeaders {
  const merged = { ...headers };
  for (const [name, value] of Object.entries(changes)) {
    for (const existing of Object.keys(merged)) {
      if (existing.toLowerCase() === name.toLowerCase()) delete merged[existing];
    }
    if (value !== undefined && value !== null) merged[name] = isValueList(value) ? [...value] : value;
  }
  return merged;
}

function isValueList(value: string | number | readonly string[]): value is readonly string[] {
  return Array.isArray(value);
}
