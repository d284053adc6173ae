// A program in TypeScript that is compiled to CommonJS.

import managedIdentity = require("managed-identity-native");
import emulator = require("managed-identity-native/emulator");
import journey = require("../journey.cjs");

async function main(): Promise<void> {
  const failed: unknown = await new managedIdentity.ManagedIdentityApplication()
    .acquireToken("no resource")
    .catch((error: unknown) => error);
  const errorCode = failed instanceof managedIdentity.ManagedIdentityError ? failed.errorCode : undefined;
  console.log(JSON.stringify({ ...(await journey(managedIdentity, emulator)), errorCode }));
}

main();
