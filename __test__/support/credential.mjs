// The shortest way to ask an emulated endpoint as a client of the Azure SDK does.

import { createRequire } from "node:module";
import { RESOURCE } from "./endpoint.mjs";
import { within } from "./environment.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("managed-identity-native");

/** How clients of the Azure SDK name the resource. */
export const SCOPE = `${RESOURCE}/.default`;

/** Asks `endpoint` by `getToken` of `application`, which is a new one unless it is given. */
export function getToken(endpoint, scopes, options, application = new ManagedIdentityApplication()) {
  return within(endpoint.env, () => application.getToken(scopes, options));
}

/**
 * Runs `work` while the environment leads to `endpoint`, for clients that ask for their token later than in their
 * first step. For tests that run one after another. What was there before comes back, and with it the address that
 * keeps IMDS's own from being asked.
 */
export async function during({ env }, work) {
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
