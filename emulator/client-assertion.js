"use strict";

// Client assertions (RFC 7523): the token of a Kubernetes service account, which a pod exchanges for a token of Entra.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation

const { verify } = require("node:crypto");
const { signJwt } = require("./token.js");

const ISSUER = "https://oidc.emulator.invalid/";
const SUBJECT = "system:serviceaccount:default:emulator";
const AUDIENCE = "api://AzureADTokenExchange";
// Kubernetes renews the file every hour. This token must stay valid in a test that moves its clock.
const LIFETIME_SECONDS = 365 * 86_400;

/** Returns a signed assertion. Each override makes one that Entra rejects. */
function createAssertion(keys, nowMs, overrides = {}) {
  const { issuer = ISSUER, subject = SUBJECT, audience = AUDIENCE, expiresIn = LIFETIME_SECONDS } = overrides;
  const now = Math.floor(nowMs / 1000);
  const issuedAt = Math.min(now, now + expiresIn - 1);
  return signJwt(keys, {
    aud: [audience],
    exp: now + expiresIn,
    iat: issuedAt,
    iss: issuer,
    nbf: issuedAt,
    sub: subject,
  });
}

/** Returns the first defect of an assertion as `{ defect, value }`, or undefined if it is valid. */
function validateAssertion(assertion, keys, nowMs) {
  const parts = assertion.split(".");
  const claims = parts.length === 3 ? parseClaims(parts[1]) : undefined;
  if (!claims) return { defect: "malformed" };
  const audiences = [claims.aud].flat();
  if (claims.iss !== ISSUER) return { defect: "issuer", value: claims.iss };
  if (claims.sub !== SUBJECT) return { defect: "subject", value: claims.sub };
  if (!audiences.includes(AUDIENCE)) return { defect: "audience", value: audiences[0] };
  const signature = Buffer.from(parts[2], "base64url");
  if (!verify("sha256", Buffer.from(`${parts[0]}.${parts[1]}`), keys.publicKey, signature)) {
    return { defect: "signature" };
  }
  if (!(claims.exp > Math.floor(nowMs / 1000))) return { defect: "expired" };
  return undefined;
}

function parseClaims(part) {
  try {
    const claims = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return claims !== null && typeof claims === "object" ? claims : undefined;
  } catch {
    return undefined;
  }
}

module.exports = { createAssertion, validateAssertion };
