// The endpoint of a soak test: grants tokens, returns an error for one resource, never responds for another.

import { createServer } from "node:http";

let last = 0;
const server = createServer((request, response) => {
  if (request.url.includes("unresponsive")) return;
  const isRejected = request.url.includes("rejected");
  last += 1;
  const token = { access_token: `${last}.${"x".repeat(1_400)}`, expires_in: 86_400 };
  response.writeHead(isRejected ? 400 : 200, { "Content-Type": "application/json" });
  response.end(JSON.stringify(isRejected ? { message: "no" } : token));
});
process.on("message", () => {
  server.closeAllConnections();
  process.send("closed");
});
process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => {
  const origin = `http://127.0.0.1:${server.address().port}`;
  process.send({ env: { IDENTITY_ENDPOINT: `${origin}/token`, IDENTITY_HEADER: "hush-hush-hush" } });
});
