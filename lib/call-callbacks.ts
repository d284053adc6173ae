/*
 * The callbacks of calls: loggers, observers of events, network clients and cache plug-ins. Each runs in the async context
 * of the call that its message belongs to, so that AsyncLocalStorage has the caller's store.
 */

import type { AsyncResource } from "node:async_hooks";
import type {
  CacheAccess,
  JsEvent,
  JsMessage,
  JsNetworkRequest,
  JsNetworkResponse,
} from "./native-binding.js";
import { nodeRequire } from "./node-require.js";
import { includes, promiseThen } from "./safe-objects.js";

/** The functions that native code calls for an application. None of them throws or rejects. */
export type Callbacks = {
  send?: (request: JsNetworkRequest) => Promise<JsNetworkResponse>;
  access?: (access: CacheAccess) => Promise<string | undefined>;
  writeLine?: (level: number, line: string) => void;
  onEvent?: (event: JsEvent) => void;
};

/** How callbacks reply to native code. */
export type Replies = {
  respond(id: number, response: JsNetworkResponse): void;
  provideRecord(id: number, record?: string): void;
};

/** A call's callbacks, and the async context in which they run; undefined if there is only one. */
type Call = { readonly callbacks: Callbacks; readonly context: AsyncResource | undefined };

/** The calls for which native code can send messages. Native code releases each of them. */
const callsByNumber = new Map<number, Call>();

/** Registers the callbacks of a call. They run in the current async context. */
export function registerCallbacks(number: number, callbacks: Callbacks): void {
  callsByNumber.set(number, { callbacks, context: captureContext() });
}

export function releaseCallbacks(number: number): void {
  callsByNumber.get(number)?.context?.emitDestroy();
  callsByNumber.delete(number);
}

export function deliverToCallbacks(number: number, message: JsMessage, replies: Replies): void {
  const call = callsByNumber.get(number);
  if (call === undefined) return;
  const { callbacks, context } = call;
  if (context === undefined) callBack(callbacks, message, replies);
  else context.runInAsyncScope(callBack, undefined, callbacks, message, replies);
}

function callBack(callbacks: Callbacks, message: JsMessage, replies: Replies): void {
  if (message.kind === "Line") callbacks.writeLine?.(message.level, message.line);
  if (message.kind === "Event") callbacks.onEvent?.(message.event);
  if (message.kind === "Request" && callbacks.send !== undefined) {
    const { id, request } = message;
    promiseThen(callbacks.send(request), (response) => replies.respond(id, response));
  }
  if (message.kind === "Access" && callbacks.access !== undefined) {
    const { id, access } = message;
    promiseThen(callbacks.access(access), (record) => replies.provideRecord(id, record));
  }
}

/** Without node:async_hooks, which Node.js loads when a program first uses it, there is only one async context. */
function captureContext(): AsyncResource | undefined {
  const { moduleLoadList } = process as { readonly moduleLoadList?: readonly string[] };
  if (moduleLoadList !== undefined && !includes(moduleLoadList, "NativeModule async_hooks")) return undefined;
  const hooks: typeof import("node:async_hooks") = nodeRequire("node:async_hooks");
  // Destroyed when the call is released, not when it is garbage-collected: until then Jest would report it.
  return new hooks.AsyncResource("ManagedIdentityCall", { requireManualDestroy: true });
}
