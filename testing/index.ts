// The public exports of `managed-identity-native/testing`, which index.d.ts documents. contract.ts compares the two.

export { useEmulatedIdentity } from "./emulated-identity.js";
