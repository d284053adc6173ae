"use strict";

// The token of a Kubernetes service account, which a pod exchanges for one of Entra, and the judgement on
// it. It must not know HTTP, nor in which words Entra refuses.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation

const { verify } = require("node:crypto");
const { signJwt } = require("./token.js");

const ISSUER = "https://oidc.emulator.invalid/";
const SUBJECT = "system:serviceaccount:default:emulator";
const AUDIENCE = "api://AzureADTokenExchange";
// Kubernetes renews the file every hour; this one must outlive a test that moves its clock.
const LIFETIME_SECONDS = 365 * 86_400;

/** A signed assertion; each part may be replaced to make one that Entra refuses. */
function makeAssertion(keys, nowMs, overrides = {}) {
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

/** What is wrong with an assertion, with the part that is: `{ fault, value }`; undefined when nothing is. */
function judgeAssertion(assertion, keys, nowMs) {
  const parts = assertion.split(".");
  const claims = parts.length === 3 ? parse(parts[1]) : undefined;
  if (!claims) return { fault: "malformed" };
  if (claims.iss !== ISSUER) return { fault: "issuer", value: claims.iss };
  if (claims.sub !== SUBJECT) return { fault: "subject", value: claims.sub };
  if (![claims.aud].flat().includes(AUDIENCE)) return { fault: "audience", value: [claims.aud].flat()[0] };
  const signature = Buffer.from(parts[2], "base64url");
  if (!verify("sha256", Buffer.from(`${parts[0]}.${parts[1]}`), keys.publicKey, signature)) {
    return { fault: "signature" };
  }
  if (!(claims.exp > Math.floor(nowMs / 1000))) return { fault: "expired" };
  return undefined;
}

function parse(part) {
  try {
    const claims = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return claims !== null && typeof claims === "object" ? claims : undefined;
  } catch {
    return undefined;
  }
}

module.exports = { judgeAssertion, makeAssertion };
