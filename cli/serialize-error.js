"use strict";

// An error of the package as plain data, for `--json` and for a report. It must not decide what helps against it.

/** The facts of a `ManagedIdentityError`; those that it has not are null. */
function failureOf(error) {
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

module.exports = { failureOf };
