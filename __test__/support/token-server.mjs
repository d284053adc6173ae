// An App Service endpoint whose response is a function of the test, which may hang, throttle or wait by resource.

import { once } from "node:events";
import { createServer } from "node:http";

/** Returns App Service's response body for a token of one day. */
export function tokenBody(secret = "a-token") {
  const expiresOn = Math.floor(Date.now() / 1000) + 86_400;
  return JSON.stringify({ access_token: secret, expires_on: String(expiresOn), token_type: "Bearer" });
}

export function sendToken(response) {
  response.setHeader("Content-Type", "application/json").end(tokenBody());
}

/** Starts a server that calls `respond` with each request's resource and response, and records the resources. */
export async function startTokenServer(t, respond) {
  const resources = [];
  const waiting = new Set();
  const server = createServer((request, response) => {
    const resource = new URL(request.url, "http://localhost").searchParams.get("resource");
    resources.push(resource);
    for (const check of waiting) check();
    respond(resource, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    resources,
    env: {
      IDENTITY_ENDPOINT: `http://127.0.0.1:${server.address().port}/token`,
      IDENTITY_HEADER: "a-header-of-a-test",
    },
    /** Resolves when `count` requests have been received. */
    arrived: (count) =>
      new Promise((resolve) => {
        const check = () => {
          if (resources.length < count) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}
