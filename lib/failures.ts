/*
 * Failures cross from native code as records. These functions recognize them and make the errors of calls.
 */

import { openedChannels } from "./diagnostics-channels.js";
import { type CredentialUnavailableError, ManagedIdentityError } from "./errors.js";
import type { AcquisitionOutcome, JsFailure } from "./native-binding.js";
import { hasOwn } from "./safe-objects.js";

/** Whether native code returned a failure in place of another object. */
export function isFailure(record: object): record is JsFailure {
  return hasOwn(record, "errorCode");
}

/** Returns the error of a call that failed. */
export function toError(
  outcome: Exclude<AcquisitionOutcome, { kind: "Token" }>,
  correlationId: string,
  Unavailable: typeof CredentialUnavailableError | undefined,
): ManagedIdentityError {
  const { failure } = outcome;
  const Failure = (failure.unavailable && Unavailable) || ManagedIdentityError;
  const error = new Failure(failure.errorCode, correlationId, failure);
  openedChannels()?.recordFailure(error, correlationId);
  return error;
}
