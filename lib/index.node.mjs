/*
 * The entry point for `import`: the same instances as with `require`. Without it Node.js would parse index.js a second
 * time to find the names of its exports, which takes as long as everything else up to the first token. Bundlers cannot
 * follow createRequire, so they get lib/index.bundler.mjs (the condition "module" in package.json).
 */

import { createRequire } from "node:module";

const native = createRequire(import.meta.url)("./index.js");

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
} = native;
export default native;
