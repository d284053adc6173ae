// A route that needs a token; it answers with facts about it and with the add-ons of its process.

import { ManagedIdentityApplication, version } from "managed-identity-native";

const application = new ManagedIdentityApplication();

export const dynamic = "force-dynamic";

export async function GET() {
  const { fromCache, scopes } = await application.acquireToken("https://vault.azure.net");
  const addons = process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node"));
  return Response.json({ version, fromCache, scopes, addons });
}
