// The emulator's public exports, which index.d.ts documents. contract.ts compares the two.

import type { Emulator, EmulatorOptions } from "managed-identity-native/emulator";
import { Endpoint } from "./endpoint.js";
import { signingKeys } from "./jwt.js";
import { parseOptions } from "./options.js";

export { azureCliTokens } from "./azure-cli.js";
export {
  otherUserAssignedIdentity,
  systemAssignedIdentity,
  tenantId,
  userAssignedIdentity,
} from "./identities.js";
export { sourceNames as sources } from "./sources/index.js";
export { createCertificate } from "./x509/certificate.js";

/** Starts a local managed identity endpoint and resolves once it listens. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const settings = parseOptions(options);
  return await Endpoint.start(settings, await signingKeys());
}
