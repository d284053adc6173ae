// The result of `acquireToken`, without the cases that only msal-node's type has.

import type { AuthenticationMetadata, AuthenticationResult } from "managed-identity-native";

/** A result in which the fields that this package always sets are not optional. */
export type AcquiredToken = AuthenticationResult & {
  readonly expiresOn: Date;
  readonly metadata: AuthenticationMetadata;
};

export function toAcquiredToken(result: AuthenticationResult): AcquiredToken {
  const { expiresOn, metadata } = result;
  if (expiresOn === null || metadata === undefined) throw new TypeError("The result is incomplete.");
  return { ...result, expiresOn, metadata };
}
