// What is measured, behind one shape: how each package is loaded, called and checked. A program runs in a folder
// from which its package can be imported by name.

const CONTENDERS = {
  native: { name: "managed-identity-native", open: application((resource) => resource) },
  "native-object": { name: "managed-identity-native", open: application((resource) => ({ resource })) },
  "native-getToken": { name: "managed-identity-native", open: credential("ManagedIdentityApplication") },
  msal: { name: "@azure/msal-node", open: application((resource) => ({ resource })) },
  identity: { name: "@azure/identity", open: credential("ManagedIdentityCredential") },
};

/** The resource of this number. */
export function resource(number) {
  return `https://resource-${number}.example.net`;
}

export async function open(contender) {
  const { name, open: opened } = CONTENDERS[contender];
  return opened(await import(name));
}

/** Throws unless what is measured happened. */
export function assertMeasured(happened, what) {
  if (!happened) throw new Error(`not measured what was to be measured: ${what}`);
}

function application(plain) {
  return ({ ManagedIdentityApplication }) => {
    const app = new ManagedIdentityApplication();
    return {
      call: (request) => app.acquireToken(request),
      request: plain,
      refresh: (resource) => ({ resource, forceRefresh: true }),
      tokenOf: (result) => result.accessToken,
      check(result, fromCache) {
        assertMeasured(result.accessToken.length === 1_500, "a token");
        assertMeasured(result.fromCache === fromCache, `fromCache is ${fromCache}`);
        assertMeasured(result.expiresOn.getTime() > Date.now(), "an expiry ahead");
      },
    };
  };
}

/** The Azure SDK's shape; it does not say whether a token was cached: the endpoint's count does. */
function credential(className) {
  return (exports) => {
    const holder = new exports[className]();
    return {
      call: (scope) => holder.getToken(scope),
      request: (resource) => `${resource}/.default`,
      tokenOf: (result) => result.token,
      check(result) {
        assertMeasured(result.token.length === 1_500, "a token");
        assertMeasured(result.expiresOnTimestamp > Date.now(), "an expiry ahead");
      },
    };
  };
}
