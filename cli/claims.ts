// Reads the claims of a token that may be shown. The token itself, its signature and all other claims stay secret.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference

import { stripControlCharacters } from "./terminal.js";

export type ClaimValue = string | number | readonly string[];

/** Claims by name. */
export type Claims = Readonly<Record<string, ClaimValue>>;

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
export function readClaims(token: string): Claims | null {
  const payload = parsePayload(token.split(".")[1]);
  if (payload === undefined) return null;
  const claims: Record<string, ClaimValue> = {};
  for (const name of DISPLAYED_CLAIMS) {
    const value = sanitizeClaim(Reflect.get(payload, name));
    if (value !== undefined) claims[name] = value;
  }
  return claims;
}

function parsePayload(part = ""): object | undefined {
  try {
    const payload: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return payload !== null && typeof payload === "object" ? payload : undefined;
  } catch {
    return undefined;
  }
}

/** Returns a number, a string or a list of strings; undefined for any other type. */
function sanitizeClaim(value: unknown): ClaimValue | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value === "string") return sanitizeText(value);
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.map(sanitizeText);
  return undefined;
}

function sanitizeText(text: string): string {
  return stripControlCharacters(text).slice(0, MAX_CLAIM_CHARS);
}
