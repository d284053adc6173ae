// The `AbortSignal` of the DOM library, which many services' tsconfig has by default.

import { ManagedIdentityApplication } from "managed-identity-native";

const controller = new AbortController();
const abortSignal: AbortSignal = AbortSignal.any([controller.signal, AbortSignal.timeout(1_000)]);
export const result = await new ManagedIdentityApplication().acquireToken({
  resource: "https://vault.azure.net",
  abortSignal,
});
