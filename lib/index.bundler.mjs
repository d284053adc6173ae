/*
 * The door for bundlers, which follow this import but not that of index.mjs.
 */

import face from "../index.js";

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
