// A module for a bundler: no file extensions, one module format.

import * as namespace from "managed-identity-native";
import { AuthError, LogLevel, ManagedIdentityApplication } from "managed-identity-native";

export const app = new ManagedIdentityApplication({
  system: { loggerOptions: { logLevel: LogLevel.Trace } },
});
export const same: boolean = namespace.AuthError === AuthError;
export const result: namespace.AuthenticationResult = await app.acquireToken({ resource: "api://service" });
