"use strict";

// Puts an answer on the wire, whole or broken off. It must not know why.

const { STATUS_CODES } = require("node:http");

const JSON_TYPE = "application/json; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

/** `socket` is the TCP connection below `outgoing`, also where TLS lies between them. */
function reply(outgoing, socket, answer, { drop, reset } = {}) {
  const close = () => (reset ? socket.resetAndDestroy() : socket.destroy());
  if (drop === "before" || (reset && drop === undefined)) {
    close();
    return undefined;
  }
  const { bytes, headers } = render(answer);
  if (drop === "headers") {
    outgoing.socket.write(`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}\r\nContent-Le`, close);
    return undefined;
  }
  outgoing.writeHead(answer.status, headers);
  if (drop === "body") outgoing.write(bytes.subarray(0, bytes.length >> 1), close);
  else outgoing.end(bytes);
  return answer.status;
}

function render({ body, headers }) {
  const json = body !== null && typeof body === "object" && !Buffer.isBuffer(body);
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(json ? JSON.stringify(body) : String(body ?? ""));
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const complete = { ...headers };
  if (!names.has("content-type") && bytes.length > 0) complete["Content-Type"] = json ? JSON_TYPE : TEXT_TYPE;
  if (!names.has("content-length") && !names.has("transfer-encoding")) {
    complete["Content-Length"] = bytes.length;
  }
  return { bytes, headers: complete };
}

module.exports = { reply };
