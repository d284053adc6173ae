// The shortest way to ask an emulated endpoint as a client of the Azure SDK does.

import { createRequire } from "node:module";
import { RESOURCE } from "./endpoint.mjs";
import { within } from "./environment.mjs";

const { ManagedIdentityApplication } = createRequire(import.meta.url)("../../index.js");

/** How clients of the Azure SDK name the resource. */
export const SCOPE = `${RESOURCE}/.default`;

/** Asks `endpoint` by `getToken` of `application`, which is a new one unless it is given. */
export function getToken(endpoint, scopes, options, application = new ManagedIdentityApplication()) {
  return within(endpoint.env, () => application.getToken(scopes, options));
}

/** The claims of a token. */
export function claimsOf({ token }) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
}
