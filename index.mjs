/*
 * The door for `import`: the same instances as by `require`. Without it Node.js would read index.js twice over to
 * find its exports' names, which takes as long as everything else up to the first token.
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
  ManagedIdentitySourceNames,
  version,
} = face;
export default face;
