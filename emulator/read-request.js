"use strict";

// Reads an HTTP request into plain data, which sources validate and tests inspect.

const FORM = "application/x-www-form-urlencoded";

/** Resolves when the whole request has been received. Rejects if the client disconnects first. */
async function readRequest(incoming) {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString("utf8");
  const mark = incoming.url.indexOf("?");
  const contentType = incoming.headers["content-type"] ?? "";
  return {
    method: incoming.method,
    path: mark === -1 ? incoming.url : incoming.url.slice(0, mark),
    query: parseParameters(mark === -1 ? "" : incoming.url.slice(mark + 1)),
    rawUrl: incoming.url,
    headers: incoming.headers,
    body,
    form: contentType.split(";")[0].trim().toLowerCase() === FORM ? parseParameters(body) : undefined,
    status: undefined,
  };
}

/** Returns the parameters by name: a string, or an array of strings for a name that is repeated. */
function parseParameters(encoded) {
  const parameters = new URLSearchParams(encoded);
  const names = [...new Set(parameters.keys())];
  // fromEntries defines own properties, so that a parameter named __proto__ does not change the prototype.
  return Object.fromEntries(
    names.map((name) => {
      const values = parameters.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}

module.exports = { readRequest };
