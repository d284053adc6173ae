// An emulated endpoint that ends with its test, and the shortest way to ask it.

import { createRequire } from "node:module";
import { within } from "./environment.mjs";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { startEmulator } = require("managed-identity-native/emulator");

export const RESOURCE = "https://vault.azure.net";

/** One request only: for the tests that are not about retries. */
export const ONCE = Object.freeze({ system: Object.freeze({ disableInternalRetries: true }) });

/** The origins of all endpoints so far: a port that the system hands out again would find its predecessor's tokens. */
const origins = new Set();

/** Starts an endpoint that closes with the test. */
export async function startEndpoint(t, source = "app-service", options = {}) {
  const endpoint = await startEmulator({ source, ...options });
  t.teardown(() => endpoint.close());
  if (origins.has(endpoint.origin)) return startEndpoint(t, source, options);
  origins.add(endpoint.origin);
  return endpoint;
}

/** Asks `endpoint` by `application`, which is a new one unless it is given. */
export function acquire(endpoint, request = RESOURCE, application = new ManagedIdentityApplication()) {
  return within(endpoint.env, () => application.acquireToken(request));
}

/** The same with a new application that makes a single request. */
export function acquireOnce(endpoint, request = RESOURCE, configuration = {}) {
  const system = { ...ONCE.system, ...configuration.system };
  return acquire(endpoint, request, new ManagedIdentityApplication({ ...configuration, system }));
}
