// An ECMAScript module: named, namespace, default and dynamic imports are one CommonJS instance.

import * as namespace from "managed-identity-native";
import managedIdentity, { ManagedIdentityApplication, ManagedIdentityError } from "managed-identity-native";

const dynamic = await import("managed-identity-native");
const applications: ManagedIdentityApplication[] = [
  new ManagedIdentityApplication(),
  new managedIdentity.ManagedIdentityApplication(),
  new namespace.ManagedIdentityApplication(),
  new dynamic.ManagedIdentityApplication(),
];
export const tokens: string[] = [];
for (const app of applications) {
  try {
    tokens.push((await app.acquireToken("https://vault.azure.net")).accessToken);
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) {
      throw error;
    }
  }
}
