// The types of the testing kit: what compiles, and what must not.

import type { RecordedRequest } from "managed-identity-native/emulator";
import {
  type EmulatedIdentity,
  type EmulatedIdentityOptions,
  useEmulatedIdentity,
} from "managed-identity-native/testing";

const identity: EmulatedIdentity = await useEmulatedIdentity();
const withOptions: EmulatedIdentityOptions = {
  source: "Imds",
  env: process.env,
  lifetimeSeconds: 60,
  systemAssigned: false,
};
await (await useEmulatedIdentity(withOptions)).restore();
export const sources: EmulatedIdentityOptions[] = [
  {},
  { source: "app-service" },
  { source: "DefaultToImds" },
];

const recorded: readonly RecordedRequest[] = identity.requests;
const functions: (() => void)[] = [
  identity.fail(),
  identity.fail({ status: 503, delay: 5 }),
  identity.fail([{ drop: "before" }, {}]),
  identity.hold(),
];
await identity.waitForRequests(recorded.length + functions.length);
const clear: () => void = identity.clearTokens;
const changed: () => void = identity.endpoint.apply({ NAME: "value" });
await identity.restore();
await identity[Symbol.asyncDispose]();

export { changed, clear };

// @ts-expect-error: a source that does not exist
export const unknownSource: EmulatedIdentityOptions = { source: "Iis" };
// @ts-expect-error: tokens are dated by Date.now()
export const clock: EmulatedIdentityOptions = { clock: () => 0 };
// @ts-expect-error: not a fault
identity.fail(503);
// @ts-expect-error: a place at which no connection can be closed
identity.fail({ drop: "middle" });
// @ts-expect-error: not an environment
identity.endpoint.apply("PATH");
// @ts-expect-error: the requests belong to the endpoint
identity.requests = [];
