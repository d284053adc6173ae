// The types of `managed-identity-native/testing`, written by hand. They are its documentation, too.

import type { Emulator, EmulatorOptions, Fault, RecordedRequest } from "managed-identity-native/emulator";

/**
 * Gives this process an emulated managed identity until `restore()`, for the tests of a service. It
 *
 * - starts an emulator (`managed-identity-native/emulator`) on a free port of 127.0.0.1,
 * - sets the environment variables by which clients detect it, and deletes those that select another source,
 * - dates its tokens by the current `Date.now()`, so that the fake timers of a test runner age them.
 *
 * It needs no test runner: call it in a hook or in a test of `node:test`, Vitest, Jest or Mocha. Identities of several
 * worker threads or processes do not affect each other. In one thread only one can be in use at a time, because
 * all tests of a thread have the same `process.env`.
 *
 * Rejects with a `ManagedIdentityError` whose code is `invalid_configuration` if an option is invalid, or if the earlier
 * identity of this thread was not restored; and with the system's error if the emulator cannot listen.
 */
export function useEmulatedIdentity(options?: EmulatedIdentityOptions): Promise<EmulatedIdentity>;

/** The options of the emulator except `clock`, and the option `env`. */
export interface EmulatedIdentityOptions extends Omit<EmulatorOptions, "clock" | "source"> {
  /** The source to emulate. Case and dashes are ignored. Default "AppService". */
  source?: EmulatorOptions["source"];
  /** The environment to change. Default `process.env`. */
  env?: Record<string, string | undefined>;
}

/** An emulated managed identity in use. */
export interface EmulatedIdentity {
  /** The emulator, for everything that has no shorter form here. */
  readonly endpoint: Emulator;
  /** The token requests received so far, in order. The array grows. A token from the cache needs no request. */
  readonly requests: RecordedRequest[];
  /**
   * Lets every request fail until the returned function is called: with this fault, or without one with status 400,
   * which clients do not retry. With a list of faults, only the next requests fail, one for each fault.
   *
   * A client that has a fresh token in its cache sends no request. Call `clearTokens()` first if the next call must fail.
   *
   * @throws {ManagedIdentityError} `invalid_configuration` if a fault is invalid.
   */
  fail(faults?: Fault | readonly Fault[]): () => void;
  /**
   * Holds requests: they are recorded, but not answered, until the returned function is called. Several holds must all be
   * released.
   */
  hold(): () => void;
  /** Resolves when `count` requests have been received in total. Rejects if the identity is restored first. */
  waitForRequests(count: number): Promise<void>;
  /** Removes this identity's tokens from the cache. Tokens from other endpoints, such as those of other workers, stay. */
  clearTokens(): void;
  /**
   * Restores the environment, removes this identity's tokens from the cache and closes the emulator. Later calls return
   * the same promise.
   */
  restore(): Promise<void>;
  /** Calls `restore()`, for `await using`. Absent before Node.js 20.4. */
  [Symbol.asyncDispose](): Promise<void>;
}
