// Client assertions (RFC 7523): the token of a Kubernetes service account, which a pod exchanges for a token of Entra.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation

import { verify } from "node:crypto";
import type { AssertionOverrides } from "managed-identity-native/emulator";
import { parseJwtClaims, type SigningKeys, signJwt } from "./jwt.js";

const ISSUER = "https://oidc.emulator.invalid/";
const SUBJECT = "system:serviceaccount:default:emulator";
const AUDIENCE = "api://AzureADTokenExchange";
// Kubernetes renews the file every hour. This token must stay valid in a test that moves its clock.
const LIFETIME_SECONDS = 365 * 86_400;

/** A reason to reject an assertion, with the claim's value where a claim is the reason. */
export interface AssertionDefect {
  readonly defect: "malformed" | "issuer" | "subject" | "audience" | "signature" | "expired";
  readonly value?: unknown;
}

/** Returns a signed assertion. Each override makes one that Entra rejects. */
export function createAssertion(
  keys: SigningKeys,
  nowMs: number,
  overrides: AssertionOverrides = {},
): string {
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

/** Returns the first defect of an assertion, or undefined if it is valid. */
export function validateAssertion(
  assertion: string,
  { publicKey }: SigningKeys,
  nowMs: number,
): AssertionDefect | undefined {
  const [header, payload, signature, ...rest] = assertion.split(".");
  if (payload === undefined || signature === undefined || rest.length > 0) return { defect: "malformed" };
  const claims = parseJwtClaims(payload);
  if (!claims) return { defect: "malformed" };
  const audiences = [claims.aud].flat();
  if (claims.iss !== ISSUER) return { defect: "issuer", value: claims.iss };
  if (claims.sub !== SUBJECT) return { defect: "subject", value: claims.sub };
  if (!audiences.includes(AUDIENCE)) return { defect: "audience", value: audiences[0] };
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify("sha256", signed, publicKey, Buffer.from(signature, "base64url"))) {
    return { defect: "signature" };
  }
  if (!(Number(claims.exp) > Math.floor(nowMs / 1000))) return { defect: "expired" };
  return undefined;
}
