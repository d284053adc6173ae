// A process that asks for tokens as its parent says, one resource at a time or many at once, and that can be made
// to believe that time has passed. What it reports of a token is no more than whether it is the one expected.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { environmentVariables } = require("../support/binding.cjs");
const names = environmentVariables();

process.on("message", async ({ id, pass, ask }) => {
  if (pass !== undefined) {
    writeFileSync(process.env.FAKETIME_TIMESTAMP_FILE, `+${pass}`);
    process.send({ id });
    return;
  }
  const { env, request, system } = ask;
  setEnvironment(env);
  try {
    const result = await new ManagedIdentityApplication({ system }).acquireToken(request);
    process.send({ id, fromCache: result.fromCache, isExpected: result.accessToken === "a-token" });
  } catch ({ name, errorCode, statusCode, retryable, attempts, message }) {
    process.send({ id, error: { name, errorCode, statusCode, retryable, attempts, message } });
  }
});
/**
 * Every variable is always there, and empty if it is not set: libfaketime reads the environment in every thread that asks
 * for the time, and would crash when a new variable moves it.
 */
function setEnvironment(env) {
  for (const name of names) process.env[name] = env[name] ?? "";
}

setEnvironment({});
process.send({ ready: true });
