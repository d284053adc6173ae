// A service that takes bearer tokens, and a client of it as the Azure SDK builds its own.

import { once } from "node:events";
import https from "node:https";
import { createRequire } from "node:module";
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createPipelineFromOptions,
  createPipelineRequest,
} from "@azure/core-rest-pipeline";

const { createCertificate } = createRequire(import.meta.url)("../../emulator/certificate.js");

/**
 * Starts a service that ends with its test. `judge` is given each token, and says which challenge it gets; none if it
 * is welcome. `tokens` are all that came.
 */
export async function startProtectedService(t, judge) {
  const certificate = await createCertificate();
  const tokens = [];
  const server = https.createServer(
    { cert: certificate.pem, key: certificate.keyPem },
    (request, response) => {
      const token = request.headers.authorization?.replace(/^Bearer /, "");
      tokens.push(token);
      const challenge = judge(token, tokens.length);
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

/** A client of `service` with this credential: a function that sends one request and gives its status. */
export function createClient(service, credential, scopes) {
  const pipeline = createPipelineFromOptions({ tlsOptions: { ca: service.ca } });
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }));
  const httpClient = createDefaultHttpClient();
  return async () => {
    const { status } = await pipeline.sendRequest(httpClient, createPipelineRequest({ url: service.url }));
    return status;
  };
}

/** What a service sends that wants a token with these claims, because of continuous access evaluation. */
export function claimsChallenge(claims) {
  const encoded = Buffer.from(JSON.stringify(claims)).toString("base64");
  return `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="${encoded}"`;
}
