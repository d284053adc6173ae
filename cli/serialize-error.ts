// Converts an error of the package to plain data, for `--json` and for a report.

import type { ManagedIdentityError } from "managed-identity-native";

/** The fields of a `ManagedIdentityError`; a missing field is null. */
export interface SerializedError {
  readonly errorCode: string;
  readonly errorMessage: string;
  readonly statusCode: number | null;
  readonly source: string | null;
  readonly endpoint: string | null;
  readonly attempts: number | null;
  readonly retryable: boolean;
  readonly correlationId: string;
  readonly cause: string | null;
}

export function serializeError(error: ManagedIdentityError): SerializedError {
  return {
    errorCode: error.errorCode,
    errorMessage: error.errorMessage,
    statusCode: error.statusCode ?? null,
    source: error.source ?? null,
    endpoint: error.endpoint ?? null,
    attempts: error.attempts ?? null,
    retryable: error.retryable,
    correlationId: error.correlationId,
    cause: describeCause(error.cause),
  };
}

/** Returns the cause's code, such as "ECONNREFUSED", or its message. */
function describeCause(cause: unknown): string | null {
  if (!(cause instanceof Error)) return null;
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
}
