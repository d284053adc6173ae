// An Express service that calls an API as its managed identity: node examples/express/server.mjs
//
// API_URL and API_RESOURCE say which API and for what audience; PORT defaults to any that is free.

import express from "express";
import { ManagedIdentityApplication, ManagedIdentityError } from "managed-identity-native";

const { API_URL, API_RESOURCE, PORT = "0" } = process.env;
const identity = new ManagedIdentityApplication();
const app = express();

app.post("/orders", express.json(), async (request, response) => {
  // A caller who hangs up needs no token any more. Others who wait for the same one still get it. It is the response
  // that tells: a request is closed as soon as its body has been read.
  const controller = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) controller.abort();
  });
  const { accessToken } = await identity.acquireToken({
    resource: API_RESOURCE,
    timeout: 10_000,
    abortSignal: controller.signal,
  });
  const answer = await fetch(API_URL, {
    method: "POST",
    headers: { Authorization: `Bearer ${accessToken}`, "Content-Type": "application/json" },
    body: JSON.stringify(request.body),
    signal: controller.signal,
  });
  response.status(answer.status).json(await answer.json());
});

app.get("/ready", async (_, response) => {
  const { available, reason } = await identity.isAvailable();
  response.status(available ? 200 : 503).json({ available, reason });
});

app.use((error, _, response, next) => {
  if (response.destroyed) return; // Nobody is left to be told.
  if (!(error instanceof ManagedIdentityError)) return next(error);
  console.error(error.code, error.correlationId, error.message); // Never holds a token.
  response.status(error.retryable ? 503 : 500).json({ error: error.code });
});

const server = app.listen(Number(PORT), () => console.log(`listening on ${server.address().port}`));
process.once("SIGTERM", () => server.close());
