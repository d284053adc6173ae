// An emulated endpoint that stops with its test, and helpers that call it.

import { createRequire } from "node:module";
import { withEnvironment } from "./environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { startEmulator } = require("managed-identity-native/emulator");

export const RESOURCE = "https://vault.azure.net";

/**
 * For tests that are not about retries. On a busy machine a TLS handshake can take longer than the default
 * `connectTimeout` of 3 s, after which there would be a retry.
 */
export const NO_RETRIES = Object.freeze({
  system: Object.freeze({ disableInternalRetries: true, connectTimeout: 60_000, requestTimeout: 60_000 }),
});

/**
 * The origins of all endpoints so far. If the system reuses a port, the cache still holds the tokens of its previous
 * endpoint.
 */
const origins = new Set();

/** Starts an endpoint that stops with the test. */
export async function startEndpoint(t, source = "app-service", options = {}) {
  const endpoint = await startEmulator({ source, ...options });
  t.teardown(() => endpoint.close());
  if (origins.has(endpoint.origin)) return startEndpoint(t, source, options);
  origins.add(endpoint.origin);
  return endpoint;
}

/** Acquires a token from `endpoint`, with a new application by default. */
export function acquire(endpoint, request = RESOURCE, application = new ManagedIdentityApplication()) {
  return withEnvironment(endpoint.env, () => application.acquireToken(request));
}

/** Acquires a token with a new application that does not retry. */
export function acquireWithoutRetries(endpoint, request = RESOURCE, configuration = {}) {
  const system = { ...NO_RETRIES.system, ...configuration.system };
  return acquire(endpoint, request, new ManagedIdentityApplication({ ...configuration, system }));
}
