// The emulator's types: what a test may write, and what it must not.

import {
  azureCliTokens,
  type Emulator,
  type EmulatorOptions,
  type GivenToken,
  startEmulator,
  type TokenFunction,
  type TokenRequest,
} from "managed-identity-native/emulator";

// A function of tokens may answer at once or later, with a Date or with seconds since 1970.
const atOnce: TokenFunction = () => ({ accessToken: "a", expiresOn: 1_900_000_000 });
const later: TokenFunction = async ({ resource, identity, capabilities, tenantId, signal }) => {
  signal.throwIfAborted();
  const accessToken: string = [resource, identity.clientId, tenantId, ...capabilities].join(" ");
  return { accessToken, expiresOn: new Date() };
};
const given: GivenToken = { accessToken: "a", expiresOn: new Date() };
// The tokens of the Azure CLI are such a function, with and without options.
const fromAz: TokenFunction[] = [
  azureCliTokens(),
  azureCliTokens({ tenantId: "contoso.onmicrosoft.com", timeout: 1 }),
];
const options: EmulatorOptions = { source: "imds", tokens: later, anyIdentity: true };
// A source may have the name that getManagedIdentitySource() returns.
export const named: EmulatorOptions[] = [{ source: "AppService" }, { source: "DefaultToImds" }];
export const withCallback: EmulatorOptions = {
  source: "Imds",
  onUnknownIdentity: (id: string) => console.log(id),
};
const endpoint: Emulator = await startEmulator({ ...options, tokens: fromAz[0] ?? atOnce });
await endpoint.close();

export { given };

// @ts-expect-error: a token needs its expiry
export const withoutExpiry: TokenFunction = () => ({ accessToken: "a" });
// @ts-expect-error: an expiry is a Date, not a string
export const withText: TokenFunction = async () => ({ accessToken: "a", expiresOn: "2030-01-01" });
// @ts-expect-error: a token is an object, not a string
export const bare: TokenFunction = () => "a";
// @ts-expect-error: tokens come from a function
export const object: EmulatorOptions = { source: "imds", tokens: { accessToken: "a" } };
// @ts-expect-error: an unknown source
export const unknownSource: EmulatorOptions = { source: "Iis" };
// @ts-expect-error: true or false
export const any: EmulatorOptions = { source: "imds", anyIdentity: "yes" };
// @ts-expect-error: there is no such option of az
export const unknown = azureCliTokens({ subscription: "a" });
export function changes(request: TokenRequest): void {
  // @ts-expect-error: the fields of a request are read-only
  request.resource = "b";
}
