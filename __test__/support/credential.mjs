// Helpers for calling `getToken` as Azure SDK clients do.

import { createRequire } from "node:module";
import { RESOURCE } from "./endpoint.mjs";
import { withEnvironment } from "./environment.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

/** The scope by which Azure SDK clients request RESOURCE. */
export const SCOPE = `${RESOURCE}/.default`;

/** Calls `getToken` with the environment of `endpoint`, on a new application by default. */
export function getToken(endpoint, scopes, options, application = new ManagedIdentityApplication()) {
  return withEnvironment(endpoint.env, () => application.getToken(scopes, options));
}

/**
 * Runs `work` with the environment of `endpoint`, for clients that request a token after their first `await`. Only for
 * serial tests, because process.env is restored when `work` ends.
 */
export async function withEndpoint({ env }, work) {
  const before = Object.keys(env).map((name) => [name, process.env[name]]);
  Object.assign(process.env, env);
  try {
    return await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** The claims of a token. */
export function claimsOf({ token }) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
}
