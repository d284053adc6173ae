"use strict";

/*
 * A caller's functions as native code takes them: they never throw, never reject, and answer in plain records.
 * Loaded for applications that were given any.
 */

/** The numbers of the network clients that applications of this thread were given. */
const clientNumbers = new WeakMap();

/** A client's number, by which native code tells clients apart; drawn at its first use. */
function numberOf(client, draw) {
  if (!isClient(client)) return undefined;
  if (!clientNumbers.has(client)) clientNumbers.set(client, draw());
  return clientNumbers.get(client);
}

/** Whether it has what a client must have; if not, native code says what is wrong with it. */
function isClient(client) {
  return (
    typeof client?.sendGetRequestAsync === "function" && typeof client.sendPostRequestAsync === "function"
  );
}

/** A caller's network client: it never throws, and resolves a plain record, which `settled` keeps from being a promise. */
function callersClient(client, settled) {
  if (!isClient(client)) return undefined;
  return async ({ post, url, headers, body }) => {
    try {
      const answer = post
        ? await client.sendPostRequestAsync(url, { headers, body })
        : await client.sendGetRequestAsync(url, { headers });
      return settled({
        status: statusOf(answer),
        wwwAuthenticate: headerOf(answer, "www-authenticate"),
        retryAfter: headerOf(answer, "retry-after"),
        date: headerOf(answer, "date"),
        server: headerOf(answer, "server"),
        contentType: headerOf(answer, "content-type"),
        body: textOf(answer.body),
        code: undefined,
        message: undefined,
      });
    } catch (error) {
      return settled(faultOf(error));
    }
  };
}

function statusOf(answer) {
  const status = answer?.status;
  if (Number.isInteger(status) && status >= 100 && status <= 599) return status;
  throw new TypeError("it resolved with something that has no HTTP status");
}

function headerOf({ headers }, name) {
  if (typeof headers?.get === "function") return headers.get(name)?.toString();
  const found = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name);
  return found?.[1] === undefined || found[1] === null ? undefined : String(found[1]);
}

function textOf(body) {
  if (body === undefined || body === null) return "";
  if (body instanceof Uint8Array) return Buffer.from(body).toString("utf8");
  return typeof body === "string" ? body : JSON.stringify(body);
}

/** What a client rejected with, whatever its getters do. */
function faultOf(error) {
  let code;
  let message = "it rejected with an error that cannot be read";
  try {
    code = codeOf(error);
    message = String(error?.message ?? "it rejected without an error");
  } catch {
    // Said above.
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

/** A code as Node's socket errors have it; fetch has it on its cause. */
function codeOf(error) {
  const code = error?.code ?? error?.cause?.code;
  return typeof code === "string" ? code : undefined;
}

/** A caller's logger: neither an exception nor a rejection leaves it. */
function callersLog(callback) {
  if (typeof callback !== "function") return undefined;
  return (level, message) => {
    logged(callback, level, message);
  };
}

async function logged(callback, level, message) {
  try {
    await callback(level, message, false);
  } catch {
    // A logger that fails must not fail an acquisition.
  }
}

module.exports.callersClient = callersClient;
module.exports.numberOf = numberOf;
module.exports.callersLog = callersLog;
