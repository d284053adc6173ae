// A service that acquires a token for RESOURCE with each request, and responds with what the token says. PORT defaults to
// 3000; 0 is any port that is free.

import { once } from "node:events";
import { createServer } from "node:http";
import { ManagedIdentityApplication } from "managed-identity-native";

const { RESOURCE, PORT = "3000" } = process.env;
const identity = new ManagedIdentityApplication();

const server = createServer(async (_, response) => {
  try {
    const { accessToken, fromCache } = await identity.acquireToken({ resource: RESOURCE, timeout: 10_000 });
    const { aud, oid } = JSON.parse(Buffer.from(accessToken.split(".")[1], "base64url"));
    respond(response, 200, { client: "managed-identity-native", aud, oid, fromCache });
  } catch (error) {
    console.error(error.message); // Never contains a token.
    respond(response, 500, { error: error.code });
  }
});

function respond(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

server.listen(Number(PORT));
await once(server, "listening");
console.log(`listening on ${server.address().port}`);
process.once("SIGTERM", () => server.close());
