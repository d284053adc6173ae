/*
 * Adapters for a caller's network client and logger: they never throw or reject, and return plain records.
 */

import type { ILoggerCallback, INetworkModule, NetworkRequestOptions } from "../index.js";
import type { Callbacks } from "./call-callbacks.js";
import { binding, type JsNetworkResponse } from "./native-binding.js";
import { blockThenable } from "./safe-objects.js";

/** The ids of the network clients of this thread's applications. */
const clientIds = new WeakMap<INetworkModule, number>();

/** Returns the id by which native code distinguishes network clients. A client gets it at its first use. */
export function networkClientId(client: unknown): number | undefined {
  if (!isClient(client)) return undefined;
  const id = clientIds.get(client) ?? binding.newTransportId();
  clientIds.set(client, id);
  return id;
}

/** Whether a client has both methods. If not, native code rejects the option. */
function isClient(client: unknown): client is INetworkModule {
  if (client === undefined || client === null) return false;
  const { sendGetRequestAsync, sendPostRequestAsync } = client as Partial<INetworkModule>;
  return typeof sendGetRequestAsync === "function" && typeof sendPostRequestAsync === "function";
}

/** Wraps a network client: the function never rejects and resolves with a plain record. */
export function wrapNetworkClient(client: unknown): Callbacks["send"] | undefined {
  if (!isClient(client)) return undefined;
  return async ({ post, url, headers, body }) => {
    try {
      const response: unknown = post
        ? await client.sendPostRequestAsync(url, { headers, body } as NetworkRequestOptions)
        : await client.sendGetRequestAsync(url, { headers });
      return blockThenable(toRecord(response));
    } catch (error) {
      return blockThenable(toTransportError(error));
    }
  };
}

/** A response or a failure for native code; absent fields are undefined. */
type NetworkRecord = { [Name in keyof JsNetworkResponse]-?: JsNetworkResponse[Name] | undefined };

function toRecord(response: unknown): JsNetworkResponse {
  const status = readStatus(response);
  const { headers, body } = response as { headers?: unknown; body?: unknown };
  const record: NetworkRecord = {
    status,
    wwwAuthenticate: readHeader(headers, "www-authenticate"),
    retryAfter: readHeader(headers, "retry-after"),
    date: readHeader(headers, "date"),
    server: readHeader(headers, "server"),
    contentType: readHeader(headers, "content-type"),
    body: readBody(body),
    code: undefined,
    message: undefined,
  };
  return record as JsNetworkResponse;
}

function readStatus(response: unknown): number {
  const { status } = (response ?? {}) as { status?: unknown };
  if (typeof status === "number" && Number.isInteger(status) && status >= 100 && status <= 599) return status;
  throw new TypeError("it resolved with a value without an HTTP status");
}

function readHeader(headers: unknown, name: string): string | undefined {
  if (headers === undefined || headers === null) return undefined;
  const { get } = headers as Partial<Headers>;
  if (typeof get === "function") return (headers as Headers).get(name)?.toString();
  const found: unknown = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  return found === undefined || found === null ? undefined : String(found);
}

function readBody(body: unknown): string {
  if (body === undefined || body === null) return "";
  if (body instanceof Uint8Array) return Buffer.from(body).toString("utf8");
  return typeof body === "string" ? body : JSON.stringify(body);
}

/** Returns the record of a client's rejection, even if the getters of the reason throw. */
function toTransportError(error: unknown): JsNetworkResponse {
  let code: string | undefined;
  let message = "it rejected with an error that cannot be read";
  try {
    code = readErrorCode(error);
    message = String((error as Partial<Error> | null | undefined)?.message ?? "it rejected without an error");
  } catch {
    // The message above says so.
  }
  const record: NetworkRecord = {
    status: undefined,
    wwwAuthenticate: undefined,
    retryAfter: undefined,
    date: undefined,
    server: undefined,
    contentType: undefined,
    body: undefined,
    code,
    message,
  };
  return record as JsNetworkResponse;
}

type ErrorWithCode = { code?: unknown; cause?: { code?: unknown } | null };

/** Returns the code of a socket error; an error of fetch has it on its cause. */
function readErrorCode(error: unknown): string | undefined {
  const { code, cause } = (error ?? {}) as ErrorWithCode;
  const found = code ?? cause?.code;
  return typeof found === "string" ? found : undefined;
}

/** Wraps a logger callback: exceptions and rejections are ignored. */
export function wrapLoggerCallback(callback: unknown): Callbacks["writeLine"] | undefined {
  if (typeof callback !== "function") return undefined;
  return (level, message) => {
    callLogger(callback as ILoggerCallback, level, message);
  };
}

async function callLogger(callback: ILoggerCallback, level: number, message: string): Promise<void> {
  try {
    await callback(level, message, false);
  } catch {
    // A failing logger must not fail an acquisition.
  }
}
