// A process that acquires tokens on request of its parent, and whose clocks the parent moves. It never reports a token,
// only whether the token is the expected one.

import { createRequire } from "node:module";
import { serveMessages, setEnvironment } from "../support/faketime-child.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

setEnvironment({});
serveMessages(async ({ acquire: { env, request, system } }) => {
  setEnvironment(env);
  try {
    const result = await new ManagedIdentityApplication({ system }).acquireToken(request);
    return { fromCache: result.fromCache, isExpected: result.accessToken === "a-token" };
  } catch ({ name, errorCode, statusCode, retryable, attempts, message }) {
    return { error: { name, errorCode, statusCode, retryable, attempts, message } };
  }
});
