// Access tokens as Entra issues them to a managed identity, with the claims that a service checks.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference

import { randomBytes, randomUUID } from "node:crypto";
import type { EmulatorIdentity } from "managed-identity-native/emulator";
import { type SigningKeys, signJwt } from "./jwt.js";

// Entra dates a token back by five minutes, so that a service whose clock is slow accepts it.
const BACKDATED_SECONDS = 300;

/** The properties of a token that its request determines. */
export interface TokenClaims {
  readonly identity: EmulatorIdentity;
  readonly resource: string;
  /** The client capabilities, for the claim `xms_cc`. */
  readonly capabilities: readonly string[];
}

/** The properties of a token that the endpoint determines. */
export interface TokenValidity {
  readonly tenantId: string;
  /** The current time in milliseconds since 1970. */
  readonly nowMs: number;
  readonly lifetimeSeconds: number;
  /** Replaces the lifetime, in seconds since 1970. It may be in the past. */
  readonly expiresOn: number | undefined;
}

/** A token with its properties; times are in seconds since 1970. */
export interface IssuedToken {
  readonly accessToken: string;
  readonly identity: EmulatorIdentity;
  readonly resource: string;
  readonly notBefore: number;
  readonly expiresOn: number;
  /** The remaining lifetime in seconds. */
  readonly expiresIn: number;
}

/** Returns a token that is signed by the emulator. */
export function issueToken(
  keys: SigningKeys,
  { identity, resource, capabilities }: TokenClaims,
  { tenantId, nowMs, lifetimeSeconds, expiresOn }: TokenValidity,
): IssuedToken {
  const now = Math.floor(nowMs / 1000);
  const expiry = expiresOn ?? now + lifetimeSeconds;
  const issuer = `https://sts.windows.net/${tenantId}/`;
  const claims = {
    aud: resource,
    iss: issuer,
    iat: notBefore(now),
    nbf: notBefore(now),
    exp: expiry,
    aio: `k2R${randomBytes(27).toString("base64url")}`,
    appid: identity.clientId,
    appidacr: "2",
    idp: issuer,
    idtyp: "app",
    oid: identity.objectId,
    rh: `1.${randomBytes(24).toString("base64url")}.`,
    sub: identity.objectId,
    tid: tenantId,
    uti: Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64url"),
    ver: "1.0",
    xms_mirid: identity.resourceId,
    ...(capabilities.length > 0 && { xms_cc: capabilities }),
  };
  return describeToken(signJwt(keys, claims), { identity, resource }, now, expiry);
}

/** Returns a token with its properties. `now` and `expiry` are in seconds since 1970. */
export function describeToken(
  accessToken: string,
  { identity, resource }: Pick<TokenClaims, "identity" | "resource">,
  now: number,
  expiry: number,
): IssuedToken {
  return {
    accessToken,
    identity,
    resource,
    notBefore: notBefore(now),
    expiresOn: expiry,
    expiresIn: expiry - now,
  };
}

function notBefore(now: number): number {
  return now - BACKDATED_SECONDS;
}
