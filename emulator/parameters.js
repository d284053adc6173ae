"use strict";

// Reads the parameters of a token request. Each source has its own parameter names for the ids of an identity.

// The parameter names of all sources. A real source ignores the name of another source, and so returns a token of its
// own identity. The emulator rejects such a request, so that a test notices the mistake.
const ALL_IDENTITY_PARAMETERS = [
  "client_id",
  "clientid",
  "object_id",
  "principal_id",
  "msi_res_id",
  "mi_res_id",
  "resource_id",
];

/**
 * Finds the identity that a request names. `idByParameter` maps the source's parameters to the id that each of them
 * carries, and `find` returns the identity with an id. Returns one of
 *
 * - `{ isNamed: false }`: the request names none;
 * - `{ isNamed: true, identity }`, where `identity` is undefined if it does not exist;
 * - `{ problem }`: the parameters are invalid.
 */
function findRequestedIdentity(parameters, idByParameter, find) {
  const sent = ALL_IDENTITY_PARAMETERS.filter((name) => Object.hasOwn(parameters, name));
  if (sent.length === 0) return { isNamed: false };
  const [name] = sent;
  const value = parameters[name];
  if (sent.length > 1 || Array.isArray(value)) {
    return { problem: `Only one of the identity parameters may be specified, got ${sent.join(", ")}` };
  }
  if (!Object.hasOwn(idByParameter, name)) {
    return { problem: `Unknown identity parameter '${name}', use ${Object.keys(idByParameter).join(", ")}` };
  }
  return { isNamed: true, identity: find(idByParameter[name], value) };
}

/** Returns the value of a parameter that is sent once and is not empty; otherwise undefined. */
function singleValue(parameters, name) {
  const value = parameters[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Returns the client capabilities in the parameter `xms_cc`. */
function readCapabilities(parameters) {
  return singleValue(parameters, "xms_cc")?.split(",") ?? [];
}

/** Returns the client capabilities in the form parameter `claims`, which Entra itself expects. */
function readClaimsCapabilities(form) {
  try {
    const values = JSON.parse(singleValue(form, "claims") ?? "{}")?.access_token?.xms_cc?.values;
    return Array.isArray(values) ? values.filter((value) => typeof value === "string") : [];
  } catch {
    return [];
  }
}

module.exports = { findRequestedIdentity, readCapabilities, readClaimsCapabilities, singleValue };
