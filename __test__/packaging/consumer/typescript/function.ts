// A function as an Azure Functions app has it, in TypeScript, for a bundler: no extensions, a module of its own.

import { ManagedIdentityApplication, version } from "managed-identity-native";

const app = new ManagedIdentityApplication();

export async function handler(resource: string): Promise<Record<string, unknown>> {
  const { fromCache, tokenType, scopes } = await app.acquireToken(resource);
  return { version, fromCache, tokenType, scopes };
}
