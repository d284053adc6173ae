"use strict";

/*
 * Adapters for a caller's network client and logger: they never throw or reject, and return plain records.
 */

/** The ids of the network clients of this thread's applications. */
const clientIds = new WeakMap();

/** Returns the id by which native code distinguishes network clients. A client gets it at its first use. */
function networkClientId(client, newId) {
  if (!isClient(client)) return undefined;
  if (!clientIds.has(client)) clientIds.set(client, newId());
  return clientIds.get(client);
}

/** Whether a client has both methods. If not, native code rejects the option. */
function isClient(client) {
  return (
    typeof client?.sendGetRequestAsync === "function" && typeof client.sendPostRequestAsync === "function"
  );
}

/** Wraps a network client: the function never rejects and resolves with a plain record. */
function wrapNetworkClient(client, blockThenable) {
  if (!isClient(client)) return undefined;
  return async ({ post, url, headers, body }) => {
    try {
      const response = post
        ? await client.sendPostRequestAsync(url, { headers, body })
        : await client.sendGetRequestAsync(url, { headers });
      return blockThenable({
        status: readStatus(response),
        wwwAuthenticate: readHeader(response, "www-authenticate"),
        retryAfter: readHeader(response, "retry-after"),
        date: readHeader(response, "date"),
        server: readHeader(response, "server"),
        contentType: readHeader(response, "content-type"),
        body: readBody(response.body),
        code: undefined,
        message: undefined,
      });
    } catch (error) {
      return blockThenable(toTransportError(error));
    }
  };
}

function readStatus(response) {
  const status = response?.status;
  if (Number.isInteger(status) && status >= 100 && status <= 599) return status;
  throw new TypeError("it resolved with something that has no HTTP status");
}

function readHeader({ headers }, name) {
  if (typeof headers?.get === "function") return headers.get(name)?.toString();
  const found = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name);
  return found?.[1] === undefined || found[1] === null ? undefined : String(found[1]);
}

function readBody(body) {
  if (body === undefined || body === null) return "";
  if (body instanceof Uint8Array) return Buffer.from(body).toString("utf8");
  return typeof body === "string" ? body : JSON.stringify(body);
}

/** Returns the record of a client's rejection, even if the getters of the reason throw. */
function toTransportError(error) {
  let code;
  let message = "it rejected with an error that cannot be read";
  try {
    code = readErrorCode(error);
    message = String(error?.message ?? "it rejected without an error");
  } catch {
    // The message above says so.
  }
  return {
    status: undefined,
    wwwAuthenticate: undefined,
    retryAfter: undefined,
    body: undefined,
    code,
    message,
  };
}

/** Returns the code of a socket error; an error of fetch has it on its cause. */
function readErrorCode(error) {
  const code = error?.code ?? error?.cause?.code;
  return typeof code === "string" ? code : undefined;
}

/** Wraps a logger callback: exceptions and rejections are ignored. */
function wrapLoggerCallback(callback) {
  if (typeof callback !== "function") return undefined;
  return (level, message) => {
    callLogger(callback, level, message);
  };
}

async function callLogger(callback, level, message) {
  try {
    await callback(level, message, false);
  } catch {
    // A failing logger must not fail an acquisition.
  }
}

module.exports.wrapNetworkClient = wrapNetworkClient;
module.exports.networkClientId = networkClientId;
module.exports.wrapLoggerCallback = wrapLoggerCallback;
