// A CommonJS module: `import … = require` and a dynamic import.

import managedIdentity = require("managed-identity-native");

async function token(): Promise<string> {
  const { ManagedIdentityApplication } = await import("managed-identity-native");
  const app: managedIdentity.ManagedIdentityApplication = new ManagedIdentityApplication();
  const result: managedIdentity.AuthenticationResult = await app.acquireToken("https://vault.azure.net");
  return result.accessToken;
}

const app = new managedIdentity.ManagedIdentityApplication({ clientCapabilities: ["CP1"] });
const failed = (error: unknown) => error instanceof managedIdentity.ManagedIdentityError && error.code;
export = { app, failed, token };
