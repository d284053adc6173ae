"use strict";

// Reads the claims of a token that may be shown. The token itself, its signature and all other claims stay secret.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference

const { stripControlCharacters } = require("./terminal.js");

const DISPLAYED_CLAIMS = [
  "aud",
  "iss",
  "tid",
  "oid",
  "sub",
  "appid",
  "azp",
  "idtyp",
  "upn",
  "roles",
  "scp",
  "xms_mirid",
  "xms_az_rid",
  "xms_cc",
  "ver",
  "iat",
  "nbf",
  "exp",
];
const MAX_CLAIM_CHARS = 500;

/** Returns the displayed claims of a JWT, in the order of the list; null for an opaque token. */
function readClaims(token) {
  const payload = parsePayload(token.split(".")[1]);
  if (payload === undefined) return null;
  const claims = DISPLAYED_CLAIMS.map((name) => [name, sanitizeClaim(payload[name])]);
  return Object.fromEntries(claims.filter(([, value]) => value !== undefined));
}

function parsePayload(part = "") {
  try {
    const payload = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return payload !== null && typeof payload === "object" ? payload : undefined;
  } catch {
    return undefined;
  }
}

/** Returns a number, a string or a list of strings; undefined for any other type. */
function sanitizeClaim(value) {
  if (Number.isFinite(value)) return value;
  if (typeof value === "string") return stripControlCharacters(value).slice(0, MAX_CLAIM_CHARS);
  if (Array.isArray(value) && value.every((item) => typeof item === "string"))
    return value.map(sanitizeClaim);
  return undefined;
}

module.exports = { readClaims };
