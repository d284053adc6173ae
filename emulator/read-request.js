"use strict";

// What arrived, as plain data: the record that hosts judge and tests look at. It must not know what any
// of it means.

const FORM = "application/x-www-form-urlencoded";

/** Resolves when the whole request is here; rejects when the client left before. */
async function readRequest(incoming) {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString("utf8");
  const mark = incoming.url.indexOf("?");
  const contentType = incoming.headers["content-type"] ?? "";
  return {
    method: incoming.method,
    path: mark === -1 ? incoming.url : incoming.url.slice(0, mark),
    query: decode(mark === -1 ? "" : incoming.url.slice(mark + 1)),
    rawUrl: incoming.url,
    headers: incoming.headers,
    body,
    form: contentType.split(";")[0].trim().toLowerCase() === FORM ? decode(body) : undefined,
    status: undefined,
  };
}

/** A parameter that occurs once is a string, one that is repeated an array of them. */
function decode(encoded) {
  const parameters = new URLSearchParams(encoded);
  const names = [...new Set(parameters.keys())];
  // fromEntries defines own properties, so that a parameter called __proto__ is only that.
  return Object.fromEntries(
    names.map((name) => {
      const values = parameters.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}

module.exports = { readRequest };
