// The endpoint that everything is measured against: App Service's shape on loopback, in a process of its own. Every
// answer holds a token of its own that lives for 24 hours; nothing is signed, so that the endpoint is not what is
// measured. It tells its parent the port, then the count of its requests whenever it is asked, and ends with it.

import { createServer } from "node:http";

const LIFETIME = 86_400;
const TOKEN_LENGTH = 1_500;
const BACKLOG = 4_096; // As many connections as the worst program opens at once.

const filler = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(Math.ceil(TOKEN_LENGTH / 36));
let count = 0;

/** msal-node caches a token under the resource that the answer names. */
function answer(resource) {
  const number = `${count}.`;
  const token = number + filler.slice(0, TOKEN_LENGTH - number.length);
  const expiresOn = Math.floor(Date.now() / 1000) + LIFETIME;
  return `{"access_token":"${token}","expires_on":"${expiresOn}","resource":"${resource}","token_type":"Bearer","client_id":"c"}`;
}

const server = createServer((request, response) => {
  count += 1;
  const known = request.headers["x-identity-header"] === process.env.IDENTITY_HEADER;
  const resource = /[?&]resource=([^&]+)/.exec(request.url)?.[1];
  const accepted = known && resource !== undefined;
  const body = accepted ? answer(decodeURIComponent(resource)) : '{"statusCode":400,"message":"refused"}';
  response.writeHead(accepted ? 200 : 400, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
});

process.on("message", () => process.send({ count }));
process.on("disconnect", () => process.exit());
server.listen({ port: 0, host: "127.0.0.1", backlog: BACKLOG }, () => {
  process.send({ port: server.address().port });
});
