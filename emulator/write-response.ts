// Writes a response to the connection, complete or broken off where a fault says so.

import { type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Fault } from "managed-identity-native/emulator";
import type { SourceResponse } from "./sources/source.js";

const JSON_TYPE = "application/json; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

/**
 * Writes `response` and returns its status, or undefined if the headers were not sent as a whole. `socket` is the TCP
 * connection, which lies below the TLS socket if there is one; undefined if it has closed.
 */
export function writeResponse(
  outgoing: ServerResponse,
  socket: Socket | undefined,
  response: SourceResponse,
  { drop, reset }: Pick<Fault, "drop" | "reset"> = {},
): number | undefined {
  const close = () => (reset ? socket?.resetAndDestroy() : socket?.destroy());
  if (drop === "before" || (reset && drop === undefined)) {
    close();
    return undefined;
  }
  const { bytes, headers } = encode(response);
  if (drop === "headers") {
    const statusLine = `HTTP/1.1 ${response.status} ${STATUS_CODES[response.status]}`;
    outgoing.socket?.write(`${statusLine}\r\nContent-Le`, close);
    return undefined;
  }
  outgoing.writeHead(response.status, headers);
  if (drop === "body") outgoing.write(bytes.subarray(0, bytes.length >> 1), close);
  else outgoing.end(bytes);
  return response.status;
}

function encode({ body, headers }: SourceResponse): { bytes: Buffer; headers: OutgoingHttpHeaders } {
  const isJson = body !== null && typeof body === "object" && !Buffer.isBuffer(body);
  const text = isJson ? JSON.stringify(body) : String(body ?? "");
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(text);
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const complete = { ...headers };
  if (!names.has("content-type") && bytes.length > 0) {
    complete["Content-Type"] = isJson ? JSON_TYPE : TEXT_TYPE;
  }
  if (!names.has("content-length") && !names.has("transfer-encoding")) {
    complete["Content-Length"] = bytes.length;
  }
  return { bytes, headers: complete };
}
