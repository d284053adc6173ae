"use strict";

// Converts an error of the package to plain data, for `--json` and for a report.

/** Returns the fields of a `ManagedIdentityError`; a missing field is null. */
function serializeError(error) {
  return {
    errorCode: error.errorCode,
    errorMessage: error.errorMessage,
    statusCode: error.statusCode ?? null,
    source: error.source ?? null,
    endpoint: error.endpoint ?? null,
    attempts: error.attempts ?? null,
    retryable: error.retryable,
    correlationId: error.correlationId,
    cause: error.cause?.code ?? error.cause?.message ?? null,
  };
}

module.exports = { serializeError };
