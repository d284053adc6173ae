// The contenders behind one interface: how each package is loaded, called and checked. The programs run in a directory
// in which each package can be imported by name.

const CONTENDERS = {
  native: { name: "managed-identity-native", open: application((resource) => resource) },
  "native-object": { name: "managed-identity-native", open: application((resource) => ({ resource })) },
  "native-getToken": { name: "managed-identity-native", open: credential("ManagedIdentityApplication") },
  msal: { name: "@azure/msal-node", open: application((resource) => ({ resource })) },
  identity: { name: "@azure/identity", open: credential("ManagedIdentityCredential") },
};

/** The name of the nth resource. */
export function resource(number) {
  return `https://resource-${number}.example.net`;
}

export async function open(contender) {
  const { name, open: createContender } = CONTENDERS[contender];
  return createContender(await import(name));
}

/** Throws unless the program has done the measured work. */
export function assertMeasured(condition, description) {
  if (!condition) throw new Error(`the measured work was not done: ${description}`);
}

function application(toRequest) {
  return ({ ManagedIdentityApplication }) => {
    const app = new ManagedIdentityApplication();
    return {
      call: (request) => app.acquireToken(request),
      request: toRequest,
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

/** The interface of the Azure SDK. It does not report whether a token was cached; the request count of the endpoint does. */
function credential(className) {
  return (exports) => {
    const instance = new exports[className]();
    return {
      call: (scope) => instance.getToken(scope),
      request: (resource) => `${resource}/.default`,
      tokenOf: (result) => result.token,
      check(result) {
        assertMeasured(result.token.length === 1_500, "a token");
        assertMeasured(result.expiresOnTimestamp > Date.now(), "an expiry ahead");
      },
    };
  };
}
