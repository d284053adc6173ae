// A script that reads its settings from a file: node --env-file=.env examples/env-file/script.mjs
//
// On Azure, the host sets its own variables, and the file only names the identity (AZURE_CLIENT_ID). On a development
// machine, `npx --no managed-identity-native emulator --format dotenv` prints the rest of the file and emulates the host.

import { ManagedIdentityApplication } from "managed-identity-native";

const application = ManagedIdentityApplication.fromEnvironment();
const { accessToken, expiresOn } = await application.acquireToken(
  process.env.RESOURCE ?? "https://vault.azure.net",
);
console.log(`${application.getManagedIdentitySource()}: a token of ${accessToken.length} characters`);
console.log(`until ${expiresOn.toISOString()}`);
