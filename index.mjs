/*
 * The door for `import`: the same instances as by `require`. Without it Node.js would read index.js twice over to
 * find its exports' names, which takes as long as everything else up to the first token. Bundlers, which could not
 * follow it, get lib/index.bundler.mjs (the condition "module" in package.json).
 */

import { createRequire } from "node:module";

const face = createRequire(import.meta.url)("./index.js");

export const {
  AuthError,
  CredentialUnavailableError,
  LogLevel,
  ManagedIdentityApplication,
  ManagedIdentityError,
  ManagedIdentityErrorCodes,
  ManagedIdentityId,
  ManagedIdentitySourceNames,
  isManagedIdentityError,
  version,
} = face;
export default face;
