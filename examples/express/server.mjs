// An Express service that calls an API with its managed identity: node examples/express/server.mjs
//
// API_URL and API_RESOURCE select the API and its audience, and AZURE_CLIENT_ID a user-assigned identity. PORT defaults to a
// free port.

import express from "express";
import { ManagedIdentityApplication, ManagedIdentityError } from "managed-identity-native";

const { API_URL, API_RESOURCE, PORT = "0" } = process.env;
const identity = ManagedIdentityApplication.fromEnvironment();
const app = express();

app.post("/orders", express.json(), async (request, response) => {
  // Aborts the token request if the client disconnects; other calls that wait for the same token are not affected. The
  // close event of the response is used because the request closes as soon as its body has been read.
  const controller = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) controller.abort();
  });
  const { accessToken } = await identity.acquireToken({
    resource: API_RESOURCE,
    timeout: 10_000,
    abortSignal: controller.signal,
  });
  const apiResponse = await fetch(API_URL, {
    method: "POST",
    headers: { Authorization: `Bearer ${accessToken}`, "Content-Type": "application/json" },
    body: JSON.stringify(request.body),
    signal: controller.signal,
  });
  // These two are about the identity of this service, which may lack a role, and not about its client.
  if (apiResponse.status === 401 || apiResponse.status === 403) {
    throw new Error(`The API refused the identity of this service with ${apiResponse.status}.`);
  }
  response.status(apiResponse.status).json(await apiResponse.json());
});

app.get("/ready", async (_, response) => {
  const { available, reason } = await identity.isAvailable();
  response.status(available ? 200 : 503).json({ available, reason });
});

app.use((error, _, response, next) => {
  if (response.destroyed) return; // The client has disconnected.
  if (!(error instanceof ManagedIdentityError)) return next(error);
  console.error(error.code, error.correlationId, error.message); // The message never contains a token.
  response.status(error.retryable ? 503 : 500).json({ error: error.code });
});

const server = app.listen(Number(PORT), () => console.log(`listening on ${server.address().port}`));
process.once("SIGTERM", () => server.close());
