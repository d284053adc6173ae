/*
 * The exports of the package. contract.ts compares them with index.d.ts.
 */

export { ManagedIdentityApplication } from "./application.js";
export { LogLevel, ManagedIdentityErrorCodes, ManagedIdentitySourceNames } from "./constants.js";
export {
  AuthError,
  CredentialUnavailableError,
  isManagedIdentityError,
  ManagedIdentityError,
} from "./errors.js";
export { ManagedIdentityId } from "./managed-identity-id.js";
export { version } from "./native-binding.js";
