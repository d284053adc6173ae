// A rejection, taken without ever showing the result that came in its place: a result shows its token.

import { createRequire } from "node:module";

const { ManagedIdentityError } = createRequire(import.meta.url)("managed-identity-native");

/** What a promise rejected with; a failed assertion and undefined when it resolved. */
export async function rejection(t, promise, message) {
  const [rejected, reason] = await promise.then(
    () => [false],
    (error) => [true, error],
  );
  t.true(rejected, message ?? "it resolved");
  return reason;
}

/** The error of this package, with this code, that a promise rejected with. */
export async function refusal(t, promise, code, message) {
  const error = await rejection(t, promise, message);
  t.true(error instanceof ManagedIdentityError, message ?? `${error}`);
  if (code !== undefined) t.is(error.errorCode, code, message ?? error.message);
  return error;
}
