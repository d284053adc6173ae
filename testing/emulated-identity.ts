// An emulated managed identity for the tests of a service: an emulator, and the environment that leads clients to it.

import { ManagedIdentityError } from "managed-identity-native";
import {
  type Emulator,
  type Fault,
  type RecordedRequest,
  startEmulator,
} from "managed-identity-native/emulator";
import type {
  EmulatedIdentity as EmulatedIdentityContract,
  EmulatedIdentityOptions,
} from "managed-identity-native/testing";
import { binding } from "../lib/native-binding.js";

/** Clients retry a 5xx and other statuses, which would take seconds; they do not retry a 400. */
const DEFAULT_FAULT: Fault = { status: 400 };
/** How the emulator's errors about an option start. */
const EMULATOR_PREFIX = /^(?:startEmulator|emulator): /;

/** The environments that an identity has changed. */
const inUse = new WeakSet<object>();

export async function useEmulatedIdentity(options: EmulatedIdentityOptions = {}): Promise<EmulatedIdentity> {
  if (typeof options !== "object" || options === null) throw invalid("the options must be an object.");
  if (Object.hasOwn(options, "clock")) {
    throw invalid('"clock" is not an option: tokens are dated by Date.now(), which fake timers replace.');
  }
  const { env = process.env, source = "AppService", ...rest } = options;
  if (typeof env !== "object" || env === null) throw invalid('"env" must be an object, such as process.env.');
  if (inUse.has(env)) {
    throw invalid(
      "the previous identity is still in use. Call its restore() first, for example in an afterEach hook.",
    );
  }
  inUse.add(env);
  try {
    return new EmulatedIdentity(await start({ ...rest, source, clock: () => Date.now() }), env);
  } catch (error) {
    inUse.delete(env);
    throw error;
  }
}

class EmulatedIdentity implements EmulatedIdentityContract {
  readonly endpoint: Emulator;
  readonly requests: RecordedRequest[];
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;
  readonly #env: Record<string, string | undefined>;
  readonly #restoreEnvironment: () => void;
  /** The faults that apply until their functions are called; the last one counts. */
  readonly #faults: Fault[] = [];
  #restored: Promise<void> | undefined;

  constructor(endpoint: Emulator, env: Record<string, string | undefined>) {
    this.endpoint = endpoint;
    this.requests = endpoint.requests;
    this.#env = env;
    // An earlier endpoint may have had the same port.
    this.clearTokens();
    this.#restoreEnvironment = endpoint.apply(env);
  }

  fail(faults: Fault | readonly Fault[] = DEFAULT_FAULT): () => void {
    if (isList(faults)) {
      scriptFault(() => this.endpoint.next(faults));
      return () => undefined;
    }
    if (faults === null) throw invalid("a fault is an object, such as { status: 503 }.", undefined, "fail");
    const fault = { ...faults };
    scriptFault(() => this.endpoint.always(fault));
    this.#faults.push(fault);
    return () => {
      const index = this.#faults.indexOf(fault);
      if (index === -1) return;
      this.#faults.splice(index, 1);
      this.endpoint.always(this.#faults.at(-1) ?? null);
    };
  }

  hold(): () => void {
    return this.endpoint.hold();
  }

  waitForRequests(count: number): Promise<void> {
    return this.endpoint.waitForRequests(count);
  }

  clearTokens(): void {
    binding.clearOrigin(this.endpoint.origin);
  }

  restore(): Promise<void> {
    this.#restored ??= this.#restore();
    return this.#restored;
  }

  async #restore(): Promise<void> {
    inUse.delete(this.#env);
    this.#restoreEnvironment();
    this.clearTokens();
    await this.endpoint.close();
  }
}

// Node.js 20.0 to 20.3 lack this symbol.
if (Symbol.asyncDispose) {
  Object.defineProperty(EmulatedIdentity.prototype, Symbol.asyncDispose, {
    value: EmulatedIdentity.prototype.restore,
  });
}

async function start(options: Parameters<typeof startEmulator>[0]): Promise<Emulator> {
  try {
    return await startEmulator(options);
  } catch (error) {
    throw translateError(error);
  }
}

/** Calls a method of the emulator whose errors are about a fault. */
function scriptFault(call: () => void): void {
  try {
    call();
  } catch (error) {
    throw translateError(error, "fail");
  }
}

/** Returns an error about an option as one of this module, and any other error as it is. */
function translateError(error: unknown, name?: string): unknown {
  if (!(error instanceof TypeError && EMULATOR_PREFIX.test(error.message))) return error;
  return invalid(error.message.replace(EMULATOR_PREFIX, ""), error, name);
}

function invalid(message: string, cause?: unknown, name = "useEmulatedIdentity"): ManagedIdentityError {
  return new ManagedIdentityError("invalid_configuration", "", { message: `${name}: ${message}`, cause });
}

function isList(faults: Fault | readonly Fault[]): faults is readonly Fault[] {
  return Array.isArray(faults);
}
