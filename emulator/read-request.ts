// Reads an HTTP request into plain data, which sources validate and tests inspect.

import type { IncomingMessage } from "node:http";
import type { RecordedRequest } from "managed-identity-native/emulator";
import type { RequestParameters } from "./parameters.js";

const FORM = "application/x-www-form-urlencoded";

/** A recorded request whose status is set when the response is sent. */
export type ReceivedRequest = Omit<RecordedRequest, "status"> & { status: number | undefined };

/** Resolves when the whole request has been received. Rejects if the client disconnects first. */
export async function readRequest(incoming: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString("utf8");
  const { headers, method = "", url = "" } = incoming;
  const mark = url.indexOf("?");
  const [mediaType = ""] = (headers["content-type"] ?? "").split(";");
  return {
    method,
    path: mark === -1 ? url : url.slice(0, mark),
    query: parseParameters(mark === -1 ? "" : url.slice(mark + 1)),
    rawUrl: url,
    headers,
    body,
    form: mediaType.trim().toLowerCase() === FORM ? parseParameters(body) : undefined,
    status: undefined,
  };
}

/** Returns the parameters by name: a string, or an array of strings for a name that is repeated. */
function parseParameters(encoded: string): RequestParameters {
  const parameters = new URLSearchParams(encoded);
  const names = [...new Set(parameters.keys())];
  // fromEntries defines own properties, so that a parameter named __proto__ does not change the prototype.
  return Object.fromEntries(
    names.map((name) => {
      const values = parameters.getAll(name);
      const [first = ""] = values;
      return [name, values.length === 1 ? first : values];
    }),
  );
}
