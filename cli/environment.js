"use strict";

// The environment variables that the package reads, in a form that may be shown to others. The native code lists the
// variables; this file decides how much of a value is shown.

const { isAbsolute } = require("node:path");
const { binding } = require("../lib/native-binding.js");
const { decisiveVariables } = require("./explain-source.js");
const { stripControlCharacters } = require("./terminal.js");

const SECRETS = ["IDENTITY_HEADER", "MSI_SECRET"];
const URLS = [
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
const ID_PATTERNS = {
  AZURE_CLIENT_ID: GUID,
  AZURE_TENANT_ID: /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|([a-z0-9-]{1,63}\.)+[a-z]{2,63})$/i,
  DEFAULT_IDENTITY_CLIENT_ID: GUID,
  IDENTITY_SERVER_THUMBPRINT: /^([0-9a-f]{2}[: ]?){19}[0-9a-f]{2}$/i,
};
/** Only fromEnvironment() reads this variable, so the native code does not list it. */
const MANAGED_IDENTITY = "MANAGED_IDENTITY";
const MAX_VALUE_CHARS = 200;
const REDACTED = "<redacted>";

/** Returns the variables that are set and that the package reads, as `{ name, value, decides }`. */
function relevantVariables(application) {
  const decisive = decisiveVariables(application);
  return [...environmentVariables(), MANAGED_IDENTITY]
    .filter((name) => process.env[name] !== undefined)
    .map((name) => ({
      name,
      value: displayValue(name, process.env[name]),
      decides: decisive.includes(name),
    }));
}

/** Returns the value itself if it has the format that its variable should have; otherwise only its length. */
function displayValue(name, value) {
  const length = `set, ${value.length} character${value.length === 1 ? "" : "s"}`;
  if (name === MANAGED_IDENTITY) return `${length}; for fromEnvironment()`;
  if (value === "") return "set, but empty: counts as not set";
  if (value.length > MAX_VALUE_CHARS) return length;
  if (URLS.includes(name)) return displayUrl(value) ?? `${length}, not an http or https URL`;
  if (FILES.includes(name)) {
    return isAbsolute(value) ? stripControlCharacters(value) : `${length}, not an absolute path`;
  }
  if (Object.hasOwn(ID_PATTERNS, name)) {
    return ID_PATTERNS[name].test(value) ? value : `${length}, not in the format of an id`;
  }
  return length;
}

/** Returns a URL without user info, query and fragment. */
function displayUrl(value) {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) return undefined;
  const omitted = [
    (url.username || url.password) && "user info",
    url.search && "query",
    url.hash && "fragment",
  ].filter(Boolean);
  const note = omitted.length > 0 ? ` (omitted: ${omitted.join(", ")})` : "";
  return `${url.origin}${url.pathname}${note}`;
}

/**
 * Returns a copy of `value` in which every string is free of the secrets in the environment, and of `others`, in any
 * encoding.
 */
function redactSecrets(value, others = []) {
  const secrets = [...SECRETS.map((name) => process.env[name] ?? ""), ...others];
  const redactPart = (part) => {
    if (typeof part === "string") return redactText(part, secrets);
    if (Array.isArray(part)) return part.map(redactPart);
    if (part === null || typeof part !== "object") return part;
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, redactPart(inner)]));
  };
  return redactPart(value);
}

/** Returns the text unchanged if nothing was redacted, because `redact` also joins lines. */
function redactText(text, secrets) {
  const redacted = binding.redact(text, secrets);
  return redacted.includes(REDACTED) ? redacted : text;
}

module.exports = { redactSecrets, relevantVariables };
