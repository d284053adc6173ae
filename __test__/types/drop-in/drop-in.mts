// Our types where msal-node's are declared, and msal-node's where ours are. A line that is expected to fail
// says why msal-node does not allow that direction.

import type { AccessToken, GetTokenOptions, TokenCredential } from "@azure/core-auth";
import * as msal from "@azure/msal-node";
import * as ours from "managed-identity-native";
// Not exported by the package, so reached by path: the names that the codes have there.
import type * as msalErrorCodes from "../../../node_modules/@azure/msal-node/types/error/ManagedIdentityErrorCodes.js";

type MsalLoggerOptions = NonNullable<msal.NodeSystemOptions["loggerOptions"]>;
type MsalLoggerCallback = NonNullable<MsalLoggerOptions["loggerCallback"]>;

/** Compiles if `From` is assignable to `To`. */
function stands<To, From extends To>(..._: [From?, To?]): void {}

// Configuration
stands<msal.ManagedIdentityConfiguration, ours.ManagedIdentityConfiguration>();
stands<ours.ManagedIdentityConfiguration, msal.ManagedIdentityConfiguration>();
stands<msal.ManagedIdentityIdParams, ours.ManagedIdentityIdParams>();
stands<ours.ManagedIdentityIdParams, msal.ManagedIdentityIdParams>();
stands<msal.NodeSystemOptions, ours.NodeSystemOptions>();
stands<ours.NodeSystemOptions, msal.NodeSystemOptions>();

// Request and result
stands<msal.ManagedIdentityRequestParams, ours.ManagedIdentityRequestParams>();
stands<ours.ManagedIdentityRequestParams, msal.ManagedIdentityRequestParams>();
stands<msal.AuthenticationResult, ours.AuthenticationResult>();
stands<ours.AuthenticationResult, msal.AuthenticationResult>();
stands<msal.AccountInfo, ours.AccountInfo>();
stands<ours.AccountInfo, msal.AccountInfo>();

// The same fields: none is missing, and only `metadata` is added.
stands<keyof msal.AuthenticationResult, Exclude<keyof ours.AuthenticationResult, "metadata">>();
stands<keyof ours.AuthenticationResult, keyof msal.AuthenticationResult>();
stands<keyof ours.AccountInfo, keyof msal.AccountInfo>();
stands<keyof msal.AccountInfo, keyof ours.AccountInfo>();
stands<keyof ours.ManagedIdentityConfiguration, keyof msal.ManagedIdentityConfiguration>();
stands<keyof ours.ManagedIdentityIdParams, keyof msal.ManagedIdentityIdParams>();
stands<keyof ours.NodeSystemOptions, keyof msal.NodeSystemOptions>();
stands<keyof ours.LoggerOptions, keyof MsalLoggerOptions>();
stands<keyof ours.ManagedIdentityRequestParams, keyof msal.ManagedIdentityRequestParams>();
// @ts-expect-error `performanceClient`, msal-node's own telemetry, is not part of this package
stands<keyof ours.NetworkRequestOptions, keyof msal.NetworkRequestOptions>();

// Network client
stands<msal.INetworkModule, ours.INetworkModule>();
stands<ours.INetworkModule, msal.INetworkModule>();
stands<msal.NetworkRequestOptions, ours.NetworkRequestOptions>();
stands<ours.NetworkRequestOptions, msal.NetworkRequestOptions>();
stands<msal.NetworkResponse<{ a: 1 }>, ours.NetworkResponse<{ a: 1 }>>();
stands<ours.NetworkResponse<{ a: 1 }>, msal.NetworkResponse<{ a: 1 }>>();

// Logger
stands<MsalLoggerOptions, ours.LoggerOptions>();
stands<ours.LoggerOptions, MsalLoggerOptions>();
stands<MsalLoggerCallback, ours.ILoggerCallback>();
stands<ours.ILoggerCallback, MsalLoggerCallback>();
stands<msal.LogLevel, ours.LogLevel>();
stands<ours.LogLevel, msal.LogLevel>();

const msalLevel: msal.LogLevel = ours.LogLevel.Verbose;
const ourLevel: ours.LogLevel = msal.LogLevel.Verbose;
const levelName: string | undefined = ours.LogLevel[0];
declare const log: MsalLoggerCallback;
log(ours.LogLevel.Info, "", false);
new msal.Logger({ logLevel: ours.LogLevel.Trace, loggerCallback: (_level: ours.LogLevel) => {} });

// Sources: every name of theirs is one of ours. The other way there is one more, which a `switch` over the
// names is meant to notice.
stands<ours.ManagedIdentitySourceNames, msal.ManagedIdentitySourceNames>();
stands<typeof msal.ManagedIdentitySourceNames, typeof ours.ManagedIdentitySourceNames>();
stands<msal.ManagedIdentitySourceNames, Exclude<ours.ManagedIdentitySourceNames, "WorkloadIdentity">>();
// @ts-expect-error "WorkloadIdentity" is new
stands<msal.ManagedIdentitySourceNames, ours.ManagedIdentitySourceNames>();

// Error codes: the same names with the same values.
stands<typeof msalErrorCodes, typeof ours.ManagedIdentityErrorCodes>();

// Errors
stands<msal.AuthError, ours.AuthError>();
stands<ours.AuthError, msal.AuthError>();
stands<msal.AuthError, ours.ManagedIdentityError>();
stands<typeof msal.AuthError, typeof ours.AuthError>();
stands<new (code: string, correlationId: string) => msal.AuthError, typeof ours.ManagedIdentityError>();

// The class. msal-node's has private members, and TypeScript takes no other class for one that has: its public
// part is what can be compared.
type MsalApplication = Pick<msal.ManagedIdentityApplication, keyof msal.ManagedIdentityApplication>;
type New = "bearerToken" | "clientAssertion" | "getManagedIdentitySourceAsync" | "getToken" | "isAvailable";
type OurApplication = Pick<ours.ManagedIdentityApplication, keyof ours.ManagedIdentityApplication>;
stands<keyof ours.ManagedIdentityApplication, keyof msal.ManagedIdentityApplication>();
stands<Pick<MsalApplication, "acquireToken">, ours.ManagedIdentityApplication>();
stands<Omit<ours.ManagedIdentityApplication, New>, msal.ManagedIdentityApplication>();
stands<Omit<OurApplication, New>, MsalApplication>();
stands<
  new (
    ...configuration: ConstructorParameters<typeof msal.ManagedIdentityApplication>
  ) => Pick<MsalApplication, "acquireToken">,
  typeof ours.ManagedIdentityApplication
>();
// @ts-expect-error private members
stands<msal.ManagedIdentityApplication, ours.ManagedIdentityApplication>();
// @ts-expect-error `getManagedIdentitySource` may answer "WorkloadIdentity", which is new
stands<MsalApplication, ours.ManagedIdentityApplication>();

// The same in values: what a program writes.
declare const theirConfiguration: msal.ManagedIdentityConfiguration;
declare const ourConfiguration: ours.ManagedIdentityConfiguration;
declare const theirRequest: msal.ManagedIdentityRequestParams;
declare const ourRequest: ours.ManagedIdentityRequestParams;
const theirApp = new msal.ManagedIdentityApplication(ourConfiguration);
const ourApp = new ours.ManagedIdentityApplication(theirConfiguration);
const theirResult: msal.AuthenticationResult = await ourApp.acquireToken(theirRequest);
const ourResult: ours.AuthenticationResult = await theirApp.acquireToken(ourRequest);

// The Azure SDK's credential
stands<TokenCredential, ours.ManagedIdentityApplication>();
stands<ours.GetTokenOptions, GetTokenOptions>();
stands<AccessToken, ours.AccessToken>();

// Abort signals
stands<ours.AbortSignalLike, AbortSignal>();
stands<ours.AbortSignalLike, NonNullable<GetTokenOptions["abortSignal"]>>();
declare const azureOptions: GetTokenOptions;
await ourApp.acquireToken({ resource: "https://vault.azure.net", abortSignal: azureOptions.abortSignal });

export { levelName, msalLevel, ourLevel, ourResult, theirResult };
