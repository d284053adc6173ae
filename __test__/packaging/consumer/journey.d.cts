// The types of journey.cjs.

import type * as managedIdentity from "managed-identity-native";
import type * as emulator from "managed-identity-native/emulator";

declare function journey(
  native: Pick<typeof managedIdentity, "ManagedIdentityApplication" | "version">,
  local: Pick<typeof emulator, "startEmulator">,
): Promise<Record<string, unknown>>;
export = journey;
