/*
 * The callbacks of calls: loggers, observers of events, network clients and cache plug-ins. Each runs in the async context of the call
 * that its message belongs to, so that AsyncLocalStorage has the caller's store.
 */

import type {
  CacheAccess,
  JsEvent,
  JsMessage,
  JsNetworkRequest,
  JsNetworkResponse,
} from "./native-binding.js";
import { nodeRequire } from "./node-require.js";
import { includes, promiseThen } from "./safe-objects.js";

/** What native code calls for an application. None of these functions throws or rejects. */
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

/** Calls a function in the async context in which it was captured. */
type Run = (callback: () => void) => void;

type Call = { readonly callbacks: Callbacks; readonly run: Run };

/** The calls for which native code can send messages. Native code releases each of them. */
const callsByNumber = new Map<number, Call>();

/** Registers the callbacks of a call. They run in the current async context. */
export function registerCallbacks(number: number, callbacks: Callbacks): void {
  callsByNumber.set(number, { callbacks, run: captureContext() });
}

export function releaseCallbacks(number: number): void {
  callsByNumber.delete(number);
}

export function deliverToCallbacks(number: number, message: JsMessage, replies: Replies): void {
  const call = callsByNumber.get(number);
  if (call === undefined) return;
  const { callbacks, run } = call;
  run(() => {
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
  });
}

/** Without node:async_hooks, which Node.js loads when a program first uses it, there is only one async context. */
function captureContext(): Run {
  const { moduleLoadList } = process as { readonly moduleLoadList?: readonly string[] };
  if (moduleLoadList !== undefined && !includes(moduleLoadList, "NativeModule async_hooks")) return runHere;
  const { AsyncLocalStorage, AsyncResource }: typeof import("node:async_hooks") =
    nodeRequire("node:async_hooks");
  // Node.js 20.0 to 20.4 lack `snapshot`.
  return AsyncLocalStorage.snapshot?.() ?? AsyncResource.bind(runHere);
}

function runHere(callback: () => void): void {
  callback();
}
