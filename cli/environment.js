"use strict";

// The variables that mean something to the package, in a form that may be shown. Which there are is asked of the
// package itself; all that is known here is how a value may be shown.

const { isAbsolute } = require("node:path");
const { binding } = require("../lib/native-binding.js");
const { decidingVariables } = require("./detection.js");
const { plain } = require("./terminal.js");

const SECRETS = ["IDENTITY_HEADER", "MSI_SECRET"];
const ADDRESSES = [
  "IDENTITY_ENDPOINT",
  "IMDS_ENDPOINT",
  "MSI_ENDPOINT",
  "AZURE_POD_IDENTITY_AUTHORITY_HOST",
  "AZURE_AUTHORITY_HOST",
  "AZURE_KUBERNETES_TOKEN_PROXY",
  "HTTPS_PROXY",
  "https_proxy",
];
const FILES = [
  "AZURE_FEDERATED_TOKEN_FILE",
  "AZURE_KUBERNETES_CA_FILE",
  "NODE_EXTRA_CA_CERTS",
  "ProgramFiles",
  "ProgramData",
];
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const IDS = {
  AZURE_CLIENT_ID: GUID,
  AZURE_TENANT_ID: /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|([a-z0-9-]{1,63}\.)+[a-z]{2,63})$/i,
  DEFAULT_IDENTITY_CLIENT_ID: GUID,
  IDENTITY_SERVER_THUMBPRINT: /^([0-9a-f]{2}[: ]?){19}[0-9a-f]{2}$/i,
};
/** Read by fromEnvironment() alone, and so not among the variables of native code. */
const MANAGED_IDENTITY = "MANAGED_IDENTITY";
const LONGEST = 200;
const REDACTED = "<redacted>";

/** The variables that are set and mean something here: `{ name, value, decides }`, with a value to be shown. */
function variables(application) {
  const deciding = decidingVariables(application);
  return [...binding.environmentVariables(), MANAGED_IDENTITY]
    .filter((name) => process.env[name] !== undefined)
    .map((name) => ({ name, value: shown(name, process.env[name]), decides: deciding.includes(name) }));
}

/** A value as it may be shown to anybody; whatever has not the form that it should have is only measured. */
function shown(name, value) {
  const measured = `set, ${value.length} character${value.length === 1 ? "" : "s"}`;
  if (name === MANAGED_IDENTITY) return `${measured}; for fromEnvironment()`;
  if (value === "") return "set, but empty: counts as not set";
  if (value.length > LONGEST) return measured;
  if (ADDRESSES.includes(name)) return address(value) ?? `${measured}, no http or https URL`;
  if (FILES.includes(name)) return isAbsolute(value) ? plain(value) : `${measured}, no absolute path`;
  if (Object.hasOwn(IDS, name))
    return IDS[name].test(value) ? value : `${measured}, not in the form of an id`;
  return measured;
}

/** A URL without its user and password, its query and its fragment. */
function address(value) {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) return undefined;
  const withheld = [
    (url.username || url.password) && "user info",
    url.search && "query",
    url.hash && "fragment",
  ].filter(Boolean);
  const note = withheld.length > 0 ? ` (and ${withheld.join(", ")})` : "";
  return `${url.origin}${url.pathname}${note}`;
}

/**
 * `value`, an object or a text, without the secrets of the environment and without `others`, however they are encoded,
 * should they have got into it.
 */
function withoutSecrets(value, others = []) {
  const secrets = [...SECRETS.map((name) => process.env[name] ?? ""), ...others];
  const clean = (part) => {
    if (typeof part === "string") return cleanText(part, secrets);
    if (Array.isArray(part)) return part.map(clean);
    if (part === null || typeof part !== "object") return part;
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, clean(inner)]));
  };
  return clean(value);
}

/** A text as it was, unless there is something to take out: then it is in one line. */
function cleanText(text, secrets) {
  const redacted = binding.redact(text, secrets);
  return redacted.includes(REDACTED) ? redacted : text;
}

module.exports = { variables, withoutSecrets };
