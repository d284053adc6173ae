// The emulator's own entry point.

import { startEmulator } from "managed-identity-native/emulator";

const endpoint = await startEmulator({ source: "app-service" });
export const variables: Record<string, string | undefined> = endpoint.env;
await endpoint.close();
