// A service that accepts bearer tokens, and a client for it that is built as Azure SDK clients are.

import { once } from "node:events";
import https from "node:https";
import { createRequire } from "node:module";
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createPipelineFromOptions,
  createPipelineRequest,
} from "@azure/core-rest-pipeline";

const { createCertificate } = createRequire(import.meta.url)("managed-identity-native/emulator");

/**
 * Starts a service that stops with its test. `challengeFor` receives each token and returns the challenge to send, or
 * undefined to accept the token. `tokens` has every token that was received.
 */
export async function startProtectedService(t, challengeFor) {
  const certificate = await createCertificate();
  const tokens = [];
  const server = https.createServer(
    { cert: certificate.pem, key: certificate.keyPem },
    (request, response) => {
      const token = request.headers.authorization?.replace(/^Bearer /, "");
      tokens.push(token);
      const challenge = challengeFor(token, tokens.length);
      if (challenge !== undefined) response.setHeader("WWW-Authenticate", challenge);
      response.writeHead(challenge === undefined ? 200 : 401).end();
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { tokens, ca: certificate.pem, url: `https://127.0.0.1:${server.address().port}` };
}

/** Returns a function that sends one request to `service` with this credential and returns the response status. */
export function createClient(service, credential, scopes) {
  const pipeline = createPipelineFromOptions({ tlsOptions: { ca: service.ca } });
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }));
  const httpClient = createDefaultHttpClient();
  return async () => {
    const { status } = await pipeline.sendRequest(httpClient, createPipelineRequest({ url: service.url }));
    return status;
  };
}

/** The challenge of continuous access evaluation that requires a token with these claims. */
export function claimsChallenge(claims) {
  const encoded = Buffer.from(JSON.stringify(claims)).toString("base64");
  return `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="${encoded}"`;
}
