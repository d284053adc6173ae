// Assertions about rejections. They never print the value of a promise that resolved, because it contains a token.

import { createRequire } from "node:module";

const { ManagedIdentityError } = createRequire(import.meta.url)("managed-identity-native");

/** Returns the reason of a rejection. Fails the test and returns undefined if the promise resolves. */
export async function expectRejection(t, promise, message) {
  const [rejected, reason] = await promise.then(
    () => [false],
    (error) => [true, error],
  );
  t.true(rejected, message ?? "it resolved");
  return reason;
}

/** Returns the ManagedIdentityError with this code that a promise rejects with. */
export async function expectError(t, promise, code, message) {
  const error = await expectRejection(t, promise, message);
  t.true(error instanceof ManagedIdentityError, message ?? `${error}`);
  if (code !== undefined) t.is(error.errorCode, code, message ?? error.message);
  return error;
}
