// An application wherever the Azure SDK accepts a credential.

import type { AccessToken, GetTokenOptions, TokenCredential } from "@azure/core-auth";
import { isTokenCredential } from "@azure/core-auth";
import { bearerTokenAuthenticationPolicy } from "@azure/core-rest-pipeline";
import { ChainedTokenCredential } from "@azure/identity";
import { BlobServiceClient } from "@azure/storage-blob";
import {
  CredentialUnavailableError,
  ManagedIdentityApplication,
  type ManagedIdentityError,
} from "managed-identity-native";

const application = new ManagedIdentityApplication();

// Clients, chains and policies
export const service = new BlobServiceClient("https://account.blob.core.windows.net", application);
export const chain: TokenCredential = new ChainedTokenCredential(application, application);
export const policy = bearerTokenAuthenticationPolicy({
  credential: application,
  scopes: "https://storage.azure.com/.default",
});

// A wrapper that a user might write around a credential: it passes on the arguments and returns the result.
export class Counting implements TokenCredential {
  calls = 0;

  getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken> {
    this.calls += 1;
    return application.getToken(scopes, options);
  }
}

// More than a credential promises: there is always a token, and it is always a bearer's.
const { token, tokenType, refreshAfterTimestamp } = await application.getToken("https://vault.azure.net");
export const header: `Bearer ${string}` = `${tokenType} ${token}`;
export const refreshAfter: number | undefined = refreshAfterTimestamp;
const credential: TokenCredential = application;
// @ts-expect-error another credential may have none
(await credential.getToken("https://vault.azure.net")).token;

// The SDK's own type guard accepts an application, and its error without an identity is a ManagedIdentityError.
export const isCredential: boolean = isTokenCredential(application);
export function whyUnavailable(error: unknown): string | undefined {
  if (!(error instanceof CredentialUnavailableError)) return undefined;
  const ours: ManagedIdentityError = error;
  return ours.errorMessage;
}

// @ts-expect-error scopes are strings
application.getToken([1]);
// @ts-expect-error a scope is needed
application.getToken();
// @ts-expect-error `forceRefresh` is acquireToken's
application.getToken("https://vault.azure.net", { forceRefresh: true });
