/*
 * The entry point for bundlers, which follow this import but not the createRequire of index.mjs.
 */

import native from "./index.js";

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
