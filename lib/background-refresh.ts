/*
 * The option onBackgroundTokenRefresh: reports the outcome of background refreshes to the application.
 */

import type { BackgroundTokenRefresh } from "../index.js";
import { ManagedIdentityError } from "./errors.js";
import type { JsEvent } from "./native-binding.js";
import { normalizeToken, toAuthenticationResult } from "./result.js";
import { own } from "./safe-objects.js";

export type OnBackgroundTokenRefresh = (ended: BackgroundTokenRefresh) => void;

/** Calls an application's callback with the outcome of a background refresh. */
export async function notifyBackgroundRefresh(
  event: JsEvent,
  onRefresh: OnBackgroundTokenRefresh,
): Promise<void> {
  try {
    await onRefresh(toBackgroundTokenRefresh(event));
  } catch {
    // An error of the callback must not affect the application.
  }
}

function toBackgroundTokenRefresh(event: JsEvent): BackgroundTokenRefresh {
  const { correlationId } = event;
  const failure = own(event, "failure");
  if (failure !== undefined) {
    return { successful: false, error: new ManagedIdentityError(failure.errorCode, correlationId, failure) };
  }
  const record = own(event, "token");
  if (record === undefined) throw new TypeError("A refresh has a token or a failure.");
  const token = normalizeToken(record);
  return {
    successful: true,
    result: toAuthenticationResult(token, false, token.metadata, correlationId),
  };
}
