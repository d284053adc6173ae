// The requests that `acquireToken` accepts, its results, and the requests that it must reject.

import {
  type AuthenticationResult,
  ManagedIdentityApplication,
  type ManagedIdentityRequestParams,
} from "managed-identity-native";

const app = new ManagedIdentityApplication();
const resource = "https://vault.azure.net";

const result: AuthenticationResult = await app.acquireToken(resource);
await app.acquireToken({ resource });
await app.acquireToken({ resource, forceRefresh: true, claims: "{}" });
await app.acquireToken({ resource, timeout: 5_000, abortSignal: AbortSignal.timeout(1_000) });
await app.acquireToken({ resource, timeout: null, abortSignal: null });
await app.acquireToken({ resource, timeout: undefined, abortSignal: undefined });
await app.acquireToken({ resource, abortSignal: new AbortController().signal });
declare const either: string | ManagedIdentityRequestParams;
await app.acquireToken(either);

const { accessToken, expiresOn, fromCache, refreshOn, scopes } = result;
const parts: [string, Date | null, boolean, Date | undefined, string[]] = [
  accessToken,
  expiresOn,
  fromCache,
  refreshOn,
  scopes,
];
const account: null | { username: string } = result.account;

const bearer: () => Promise<string> = app.bearerToken(resource);
app.bearerToken(resource, null);
app.bearerToken(resource, { timeout: 5_000, abortSignal: AbortSignal.timeout(1_000) });
const password: string = await bearer();
// Drivers accept it as a function to which they pass arguments of their own.
const provider: (options: { signal: AbortSignal }) => Promise<string> = bearer;
// @ts-expect-error the resource is the first parameter
app.bearerToken(resource, { resource });
// @ts-expect-error a misspelt field
app.bearerToken(resource, { signal: AbortSignal.timeout(1_000) });
// @ts-expect-error options, not a number
app.bearerToken(resource, 5_000);
// @ts-expect-error a resource is required
app.bearerToken();

// @ts-expect-error a request is required
await app.acquireToken();
// @ts-expect-error not a number
await app.acquireToken(5);
// @ts-expect-error not null
await app.acquireToken(null);
// @ts-expect-error one resource, not several
await app.acquireToken([resource]);
// @ts-expect-error not a URL object
await app.acquireToken(new URL(resource));
// @ts-expect-error no resource
await app.acquireToken({});
// @ts-expect-error a resource is a string
await app.acquireToken({ resource: 5 });
// @ts-expect-error a resource is not optional
await app.acquireToken({ resource: undefined });
// @ts-expect-error a boolean is required
await app.acquireToken({ resource, forceRefresh: "yes" });
// @ts-expect-error claims are a JSON string
await app.acquireToken({ resource, claims: {} });
// @ts-expect-error a duration is a number
await app.acquireToken({ resource, timeout: "5s" });
// @ts-expect-error a signal, not its controller
await app.acquireToken({ resource, abortSignal: new AbortController() });
// @ts-expect-error a misspelt field
await app.acquireToken({ resource, signal: AbortSignal.timeout(1_000) });
const withSignal = { resource, signal: AbortSignal.timeout(1_000) };
// @ts-expect-error a misspelt field in a variable too, where TypeScript accepts other excess fields
await app.acquireToken(withSignal);
// @ts-expect-error a misspelt field
await app.acquireToken({ scope: resource });
const withScope = { resource, scope: resource };
// @ts-expect-error nor beside a resource
await app.acquireToken(withScope);
// @ts-expect-error a list of scopes, not one
await app.acquireToken({ scopes: resource });
// @ts-expect-error a second argument
await app.acquireToken(resource, {});
// @ts-expect-error a promise, not a result
app.acquireToken(resource).accessToken;
// @ts-expect-error a result has no such field
result.token;
// @ts-expect-error `expiresOn` is `Date | null`, as in msal-node
result.expiresOn.getTime();

ManagedIdentityApplication.clearCache();
// @ts-expect-error static
app.clearCache();
// @ts-expect-error takes nothing
ManagedIdentityApplication.clearCache(resource);

export const flushed: Promise<boolean> = ManagedIdentityApplication.flush();
ManagedIdentityApplication.flush(null);
ManagedIdentityApplication.flush({ timeout: 2_000 });
ManagedIdentityApplication.flush({ timeout: undefined });
// @ts-expect-error static
app.flush();
// @ts-expect-error an object, unlike the argument of some libraries' flush
ManagedIdentityApplication.flush(2_000);
// @ts-expect-error an unknown option
ManagedIdentityApplication.flush({ timeoutMs: 2_000 });

export { account, parts, password, provider };
