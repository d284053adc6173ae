// The endpoint of all measurements: the App Service protocol on loopback, in a child process. Every response contains a
// new token with a lifetime of 24 hours. Tokens are not signed, so that the endpoint is not what is measured. It sends
// its port to its parent, then its request count for each message, and ends with its parent.

import { createServer } from "node:http";

const LIFETIME = 86_400;
const TOKEN_LENGTH = 1_500;
const BACKLOG = 4_096; // As many connections as any program opens at once.

const filler = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(Math.ceil(TOKEN_LENGTH / 36));
let count = 0;

/** The body of a token response. It names the resource, because msal-node caches the token under that name. */
function tokenBody(resource) {
  const number = `${count}.`;
  const token = number + filler.slice(0, TOKEN_LENGTH - number.length);
  const expiresOn = Math.floor(Date.now() / 1000) + LIFETIME;
  return `{"access_token":"${token}","expires_on":"${expiresOn}","resource":"${resource}","token_type":"Bearer","client_id":"c"}`;
}

const server = createServer((request, response) => {
  count += 1;
  const isAuthorized = request.headers["x-identity-header"] === process.env.IDENTITY_HEADER;
  const resource = /[?&]resource=([^&]+)/.exec(request.url)?.[1];
  const isValid = isAuthorized && resource !== undefined;
  const body = isValid
    ? tokenBody(decodeURIComponent(resource))
    : '{"statusCode":400,"message":"invalid request"}';
  response.writeHead(isValid ? 200 : 400, {
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
