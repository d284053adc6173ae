// What the constructor takes, and what it must not.

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
// @ts-expect-error an array is asked for
new ManagedIdentityApplication({ clientCapabilities: "CP1" });
// @ts-expect-error an array of strings
new ManagedIdentityApplication({ clientCapabilities: [1] });
// @ts-expect-error ids are strings
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientId: 5 } });
// @ts-expect-error a misspelt id
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientID: "id" } });
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
// @ts-expect-error a boolean is asked for
new ManagedIdentityApplication({ system: { disableInternalRetries: "yes" } });
// @ts-expect-error a boolean is asked for
new ManagedIdentityApplication({ system: { enableAzureProxy: "true" } });
// @ts-expect-error a client has both methods
new ManagedIdentityApplication({ system: { networkClient: { sendGetRequestAsync: fetch } } });
// @ts-expect-error a level, not its name
new ManagedIdentityApplication({ system: { loggerOptions: { logLevel: "Info" } } });
// @ts-expect-error no such level
new ManagedIdentityApplication({ system: { loggerOptions: { logLevel: 9 } } });
// @ts-expect-error a callback gets a level first
new ManagedIdentityApplication({ system: { loggerOptions: { loggerCallback: (_line: string) => {} } } });
// @ts-expect-error under `exactOptionalPropertyTypes`, as in msal-node: an unset variable is no identity
new ManagedIdentityApplication({ managedIdentityIdParams: { userAssignedClientId: process.env.CLIENT_ID } });
