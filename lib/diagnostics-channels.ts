/*
 * The diagnostics channels of this package. No message contains a token or a secret.
 */

import type { Channel } from "node:diagnostics_channel";
import type { AcquireMessage, DiagnosticsChannels } from "../index.js";
import { isManagedIdentityError } from "./errors.js";
import type { JsEvent } from "./native-binding.js";
import { nodeRequire } from "./node-require.js";
import type { TokenResult } from "./result.js";
import { includes } from "./safe-objects.js";

let channels: Channels | undefined;
let wasCheckedThisTurn = false;

/** Returns the channels if they were opened. */
export function openedChannels(): Channels | undefined {
  return channels;
}

/** Returns the channels if the start or the end of a call must be published. */
export function acquireChannels(): Channels | undefined {
  const opened = channels ?? openChannels();
  return opened?.hasAcquireSubscribers() ? opened : undefined;
}

/**
 * Loads the channels if Node.js has loaded node:diagnostics_channel: before, there cannot be a subscriber, and loading
 * the module takes a tenth of the time to the first token. Checks once in each turn of the event loop.
 */
function openChannels(): Channels | undefined {
  if (wasCheckedThisTurn) return undefined;
  wasCheckedThisTurn = true;
  const { moduleLoadList = [] } = process as { readonly moduleLoadList?: readonly string[] };
  // The list is empty in Deno and Bun.
  if (moduleLoadList.length === 0 || includes(moduleLoadList, "NativeModule diagnostics_channel")) {
    channels = new Channels();
  } else {
    // A replaced setImmediate may return anything.
    const timers = globalThis as {
      setImmediate?: (callback: () => void) => Partial<NodeJS.Immediate> | null;
    };
    timers
      .setImmediate?.(() => {
        wasCheckedThisTurn = false;
      })
      ?.unref?.();
  }
  return channels;
}

/** The kinds of native events, each with a channel. */
type EventKind = "request" | "retry" | "refresh";

class Channels {
  readonly #start: Channel;
  readonly #end: Channel;
  readonly #native: { readonly [kind in EventKind]: Channel };
  /** The correlation ids of failed calls, by error. The error itself has the service's id if the service sent one. */
  readonly #correlationIds = new WeakMap<object, string>();

  constructor() {
    const { channel }: typeof import("node:diagnostics_channel") = nodeRequire("node:diagnostics_channel");
    const open = (name: keyof DiagnosticsChannels) => channel(name);
    this.#start = open("managed-identity-native:acquire:start");
    this.#end = open("managed-identity-native:acquire:end");
    this.#native = {
      request: open("managed-identity-native:request"),
      retry: open("managed-identity-native:retry"),
      refresh: open("managed-identity-native:refresh"),
    };
  }

  hasAcquireSubscribers(): boolean {
    return this.#start.hasSubscribers || this.#end.hasSubscribers;
  }

  hasNativeSubscribers(): boolean {
    const { request, retry, refresh } = this.#native;
    return request.hasSubscribers || retry.hasSubscribers || refresh.hasSubscribers;
  }

  /** Records the call of an error. */
  recordFailure(error: object, correlationId: string): void {
    this.#correlationIds.set(error, correlationId);
  }

  /** Publishes a call's start and end. Both messages are one object, so that a subscriber can correlate them. */
  async traceAcquire(resource: unknown, call: () => Promise<TokenResult>): Promise<TokenResult> {
    const message: AcquireMessage = { resource };
    try {
      // Subscribers can bind an AsyncLocalStorage to the start; the callbacks of the call then find its store.
      const result = await this.#start.runStores(message, call);
      const { correlationId, fromCache, expiresOn, metadata } = result;
      this.#end.publish(withFields(message, { correlationId, fromCache, expiresOn, metadata }));
      return result;
    } catch (error) {
      // Nothing is read from the reason of an abort signal: it can be anything, and its fields can hold secrets.
      const own = isManagedIdentityError(error) ? error : undefined;
      const { errorCode, metadata } = own ?? {};
      const known = isObject(error) ? this.#correlationIds.get(error) : undefined;
      const correlationId = known ?? own?.correlationId;
      this.#end.publish(withFields(message, { correlationId, errorCode, metadata, error }));
      throw error;
    }
  }

  /** Publishes a native event. In its record, null stands for absent. */
  publish({ kind, token, failure, ...event }: JsEvent): void {
    const target = this.#native[kind as EventKind];
    if (!target.hasSubscribers) return;
    const outcome = {
      metadata: token?.metadata ?? failure?.metadata ?? null,
      expiresOn: token === null ? null : new Date(token.expiresOnMs),
      errorCode: failure?.errorCode ?? null,
      errorMessage: failure?.errorMessage ?? null,
    };
    const statusCode = event.statusCode ?? failure?.statusCode ?? null;
    const message: { [name: string]: unknown } = { ...event, ...outcome, statusCode };
    const names = Object.keys(message);
    for (let index = 0; index < names.length; index += 1) {
      const name = names[index] as string;
      if (message[name] === null) delete message[name];
    }
    target.publish(message);
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** Adds fields to a message. They are defined, because an assignment can fail on a changed Object.prototype. */
function withFields(
  message: AcquireMessage,
  fields: { [Name in keyof AcquireMessage]?: AcquireMessage[Name] | undefined },
): AcquireMessage {
  return Object.defineProperties(message, Object.getOwnPropertyDescriptors(fields));
}
