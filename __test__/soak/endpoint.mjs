// The endpoint of a soak: grants tokens, refuses one resource, never answers another.

import { createServer } from "node:http";

let last = 0;
const server = createServer((request, response) => {
  if (request.url.includes("silent")) return;
  const refused = request.url.includes("refused");
  last += 1;
  const token = { access_token: `${last}.${"x".repeat(1_400)}`, expires_in: 86_400 };
  response.writeHead(refused ? 400 : 200, { "Content-Type": "application/json" });
  response.end(JSON.stringify(refused ? { message: "no" } : token));
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
