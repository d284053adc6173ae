"use strict";

// Which identity a request's parameters name. Every host has its own spelling of them; that list is the
// host's, the look-up is here. It must not know how a host refuses.

// All spellings of all hosts. A real host ignores a spelling that is not its own and so answers for the
// machine's identity; here it is refused, because a test should notice.
const ID_PARAMETERS = [
  "client_id",
  "clientid",
  "object_id",
  "principal_id",
  "msi_res_id",
  "mi_res_id",
  "resource_id",
];

/**
 * Whom the parameters name. `spellings` maps a host's parameters to the kind of id each carries, and `find`
 * knows who has such an id. The outcome is one of `{ named: false }`, `{ named: true, identity }` (undefined
 * when nobody has that id) and `{ problem }`.
 */
function readIdentity(parameters, spellings, find) {
  const sent = ID_PARAMETERS.filter((name) => Object.hasOwn(parameters, name));
  if (sent.length === 0) return { named: false };
  if (sent.length > 1 || Array.isArray(parameters[sent[0]])) {
    return { problem: `Only one of the identity parameters may be specified, got ${sent.join(", ")}` };
  }
  const [name] = sent;
  if (!Object.hasOwn(spellings, name)) {
    return { problem: `Unknown identity parameter '${name}', use ${Object.keys(spellings).join(", ")}` };
  }
  return { named: true, identity: find(spellings[name], parameters[name]) };
}

/** The one non-empty value of a parameter, or undefined. */
function single(parameters, name) {
  const value = parameters[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The client capabilities that came along as `xms_cc`. */
function readCapabilities(parameters) {
  return single(parameters, "xms_cc")?.split(",") ?? [];
}

/** The client capabilities in the form parameter `claims`, where Entra itself takes them. */
function readClaimedCapabilities(form) {
  try {
    const values = JSON.parse(single(form, "claims") ?? "{}")?.access_token?.xms_cc?.values;
    return Array.isArray(values) ? values.filter((value) => typeof value === "string") : [];
  } catch {
    return [];
  }
}

module.exports = { readCapabilities, readClaimedCapabilities, readIdentity, single };
