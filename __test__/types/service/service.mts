// A service as it is written against msal-node. The name that it imports from is mapped by the two tsconfig
// files beside it: to msal-node, and to this package.

import {
  AuthError,
  type AuthenticationResult,
  type INetworkModule,
  LogLevel,
  ManagedIdentityApplication,
  type ManagedIdentityConfiguration,
  type ManagedIdentityIdParams,
  type ManagedIdentityRequestParams,
  ManagedIdentitySourceNames,
  type NetworkRequestOptions,
  type NetworkResponse,
  type NodeSystemOptions,
  version,
} from "#managed-identity";

class FetchClient implements INetworkModule {
  async sendGetRequestAsync<T>(url: string, options?: NetworkRequestOptions): Promise<NetworkResponse<T>> {
    return this.#send<T>("GET", url, options);
  }

  async sendPostRequestAsync<T>(url: string, options?: NetworkRequestOptions): Promise<NetworkResponse<T>> {
    return this.#send<T>("POST", url, options);
  }

  async #send<T>(method: string, url: string, options?: NetworkRequestOptions): Promise<NetworkResponse<T>> {
    const { body = null, headers = {} } = options ?? {};
    const response = await fetch(url, { method, headers, body });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: (await response.json()) as T,
    };
  }
}

const levels: LogLevel[] = [
  LogLevel.Error,
  LogLevel.Warning,
  LogLevel.Info,
  LogLevel.Verbose,
  LogLevel.Trace,
];

function colour(level: LogLevel): string {
  switch (level) {
    case LogLevel.Error:
      return "red";
    case LogLevel.Warning:
      return "yellow";
    default:
      return "grey";
  }
}

const system: NodeSystemOptions = {
  loggerOptions: {
    loggerCallback(level, message, containsPii) {
      if (!containsPii && level <= LogLevel.Info) {
        console.log(colour(level), LogLevel[level], message);
      }
    },
    logLevel: LogLevel.Verbose,
    piiLoggingEnabled: false,
  },
  networkClient: new FetchClient(),
  disableInternalRetries: true,
};

const managedIdentityIdParams: ManagedIdentityIdParams = {
  userAssignedClientId: "00000000-0000-0000-0000-000000000000",
};
const configuration: ManagedIdentityConfiguration = {
  clientCapabilities: ["CP1"],
  managedIdentityIdParams,
  system,
};
const app: ManagedIdentityApplication = new ManagedIdentityApplication(configuration);
const systemAssigned = new ManagedIdentityApplication();

async function token(request: ManagedIdentityRequestParams): Promise<string> {
  try {
    const result: AuthenticationResult = await app.acquireToken(request);
    const left = (result.expiresOn?.getTime() ?? 0) - Date.now();
    const user: string | undefined = result.account?.username;
    console.log(left, user, result.scopes.join(" "), result.fromCache, result.refreshOn?.toISOString());
    return `${result.tokenType} ${result.accessToken}`;
  } catch (error) {
    if (error instanceof AuthError) {
      console.error(error.name, error.errorCode, error.errorMessage, error.subError, error.correlationId);
    }
    throw error;
  }
}

function onAzure(): boolean {
  return systemAssigned.getManagedIdentitySource() !== ManagedIdentitySourceNames.DEFAULT_TO_IMDS;
}

function describe(source: ManagedIdentitySourceNames): string {
  return source === "AppService" ? "web" : source;
}

console.log(
  version.split("."),
  levels,
  onAzure(),
  describe(ManagedIdentitySourceNames.IMDS),
  await token({ resource: "https://graph.microsoft.com/.default", claims: "{}", forceRefresh: true }),
);
throw new AuthError("code", "correlation", "words", "sub");
