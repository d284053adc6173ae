"use strict";

// What a token says about whom it is for. It must never give away the token, its signature, or what would be of use
// without them: only the claims listed here leave this room.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference

const { plain } = require("./terminal.js");

const SHOWN = [
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
const LONGEST = 500;

/** The claims of a JWT in the order of the list; null for a token that is none. */
function claimsOf(token) {
  const payload = parse(token.split(".")[1]);
  if (payload === undefined) return null;
  const claims = SHOWN.map((name) => [name, readable(payload[name])]);
  return Object.fromEntries(claims.filter(([, value]) => value !== undefined));
}

function parse(part = "") {
  try {
    const payload = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return payload !== null && typeof payload === "object" ? payload : undefined;
  } catch {
    return undefined;
  }
}

/** A number, a text, or a list of texts; a claim of another form is left out. */
function readable(value) {
  if (Number.isFinite(value)) return value;
  if (typeof value === "string") return plain(value).slice(0, LONGEST);
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.map(readable);
  return undefined;
}

module.exports = { claimsOf };
