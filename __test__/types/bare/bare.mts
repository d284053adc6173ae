// No DOM library and no `@types/node`: nothing here knows a global `AbortSignal`, `Buffer` or `process`.

import {
  type AbortSignalLike,
  ManagedIdentityApplication,
  ManagedIdentityError,
} from "managed-identity-native";

// @ts-expect-error not declared here
type _Absent = AbortSignal;

const listeners = new Set<() => void>();
const abortSignal: AbortSignalLike = {
  aborted: false,
  addEventListener: (_type, listener) => {
    listeners.add(listener);
  },
  removeEventListener: (_type, listener) => {
    listeners.delete(listener);
  },
};

const app = new ManagedIdentityApplication({ system: { totalTimeout: 10_000 } });
const { accessToken } = await app.acquireToken({ resource: "api://service", abortSignal });
export const retryable = (error: unknown) => error instanceof ManagedIdentityError && error.retryable;
export { accessToken };
