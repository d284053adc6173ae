// The calls of every consumer, in each module format: a token from the emulator, requested once for two calls.

module.exports = async function journey({ ManagedIdentityApplication, version }, { startEmulator }) {
  const endpoint = await startEmulator({ source: "app-service" });
  Object.assign(process.env, endpoint.env);
  const app = new ManagedIdentityApplication();
  const first = await app.acquireToken("https://vault.azure.net");
  const second = await new ManagedIdentityApplication().acquireToken({ resource: "https://vault.azure.net" });
  await endpoint.close();
  return {
    version,
    node: process.version,
    source: app.getManagedIdentitySource(),
    fromCache: [first.fromCache, second.fromCache],
    sameToken: first.accessToken === second.accessToken,
    requests: endpoint.requests.length,
  };
};
