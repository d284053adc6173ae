// A program that acquires a token over https from an endpoint whose certificate only an additional trust root verifies.
// Prints the cause if the system cannot verify with additional roots at all. Other errors are for the tests to find.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { ManagedIdentityApplication } = require("managed-identity-native");
const { startEmulator } = require("managed-identity-native/emulator");

/** `CertCreateCertificateChainEngine` of Wine rejects a configuration with roots of its own with E_INVALIDARG. */
const NO_CHAIN_ENGINE = /Invalid parameter\. \(os error -2147024809\)/;

const endpoint = await startEmulator({ source: "workload-identity" });
Object.assign(process.env, endpoint.env);
try {
  await new ManagedIdentityApplication().acquireToken("https://vault.azure.net");
} catch ({ cause, message }) {
  const text = `${message} ${cause?.message ?? ""}`;
  if (NO_CHAIN_ENGINE.test(text)) console.log("Invalid parameter");
}
await endpoint.close();
