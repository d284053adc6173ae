// The options that the constructor accepts, and those that it must reject.

import {
  type INetworkModule,
  ManagedIdentityApplication,
  type ManagedIdentityConfiguration,
} from "managed-identity-native";

declare const networkClient: INetworkModule;

new ManagedIdentityApplication();
new ManagedIdentityApplication(undefined);
new ManagedIdentityApplication(null);
new ManagedIdentityApplication({});
new ManagedIdentityApplication({ system: {} });
new ManagedIdentityApplication({ clientCapabilities: ["CP1"] });
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientId: "id" } });
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedResourceId: "id" } });
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedObjectId: "id" } });
new ManagedIdentityApplication({ system: { connectTimeout: 1, requestTimeout: 2, totalTimeout: 600_000 } });
new ManagedIdentityApplication({
  system: { connectTimeout: null, requestTimeout: undefined, totalTimeout: null },
});
new ManagedIdentityApplication({ system: { networkClient, disableInternalRetries: true } });
new ManagedIdentityApplication({ system: { enableAzureProxy: true } });
new ManagedIdentityApplication({ system: { enableAzureProxy: null } });

new ManagedIdentityApplication({ system: { retryOptions: { maxRetries: 3 } } });
new ManagedIdentityApplication({
  system: { retryOptions: { maxRetries: null, retryDelayInMs: 0, maxRetryDelayInMs: undefined } },
});
new ManagedIdentityApplication({ system: { retryOptions: null } });
new ManagedIdentityApplication({ source: "Imds" });
new ManagedIdentityApplication({ source: ["WorkloadIdentity", "Imds"] as const });
new ManagedIdentityApplication({ source: null });

// Assembled piece by piece, as a service does.
const configuration: ManagedIdentityConfiguration = {};
configuration.system = { requestTimeout: 5_000 };
new ManagedIdentityApplication(configuration);

// @ts-expect-error not an object
new ManagedIdentityApplication("00000000-0000-0000-0000-000000000000");
// @ts-expect-error not a boolean
new ManagedIdentityApplication(true);
// @ts-expect-error a second argument
new ManagedIdentityApplication({}, {});
// @ts-expect-error the name of a source
new ManagedIdentityApplication({ source: "imds" });
// @ts-expect-error names of sources
new ManagedIdentityApplication({ source: ["Imds", 1] });
// @ts-expect-error an array is required
new ManagedIdentityApplication({ clientCapabilities: "CP1" });
// @ts-expect-error an array of strings
new ManagedIdentityApplication({ clientCapabilities: [1] });
// @ts-expect-error ids are strings
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientId: 5 } });
// @ts-expect-error a misspelt id
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientID: "id" } });
const misplaced = { clientId: "id", system: {} };
// @ts-expect-error an id beside managedIdentityIdParams, also in a variable
new ManagedIdentityApplication(misplaced);
// @ts-expect-error an id beside managedIdentityIdParams
new ManagedIdentityApplication({ resourceId: "id" });
// @ts-expect-error an id beside managedIdentityIdParams
new ManagedIdentityApplication({ objectId: "id" });
// @ts-expect-error as @azure/identity calls it
new ManagedIdentityApplication({ managedIdentityClientId: "id" });
const unnested = { userAssignedClientId: "id", clientCapabilities: ["CP1"] };
// @ts-expect-error the right name in the wrong place
new ManagedIdentityApplication(unnested);
// @ts-expect-error a misspelt option
new ManagedIdentityApplication({ managedIdentityParams: {} });
// @ts-expect-error a misspelt system option
new ManagedIdentityApplication({ system: { connectTimeoutMs: 1 } });
// @ts-expect-error a duration is a number
new ManagedIdentityApplication({ system: { connectTimeout: "3s" } });
// @ts-expect-error a duration is a number
new ManagedIdentityApplication({ system: { requestTimeout: true } });
// @ts-expect-error a duration is a number
new ManagedIdentityApplication({ system: { totalTimeout: [] } });
// @ts-expect-error a boolean is required
new ManagedIdentityApplication({ system: { disableInternalRetries: "yes" } });
// @ts-expect-error an object, not a number
new ManagedIdentityApplication({ system: { retryOptions: 3 } });
// @ts-expect-error a misspelt option
new ManagedIdentityApplication({ system: { retryOptions: { maxRetryDelayMs: 1 } } });
// @ts-expect-error a boolean is required
new ManagedIdentityApplication({ system: { enableAzureProxy: "true" } });
// @ts-expect-error a client has both methods
new ManagedIdentityApplication({ system: { networkClient: { sendGetRequestAsync: fetch } } });
// @ts-expect-error a level, not its name
new ManagedIdentityApplication({ system: { loggerOptions: { logLevel: "Info" } } });
// @ts-expect-error no such level
new ManagedIdentityApplication({ system: { loggerOptions: { logLevel: 9 } } });
// @ts-expect-error a callback gets a level first
new ManagedIdentityApplication({ system: { loggerOptions: { loggerCallback: (_line: string) => {} } } });
// @ts-expect-error under `exactOptionalPropertyTypes`, as in msal-node: an unset variable is not an id
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientId: process.env.CLIENT_ID } });
