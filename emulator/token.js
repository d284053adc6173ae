"use strict";

// Access tokens as Entra issues them to a managed identity: signed JWTs with the claims that a service checks.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference

const { createHash, generateKeyPair, randomBytes, randomUUID, sign } = require("node:crypto");
const { promisify } = require("node:util");

const RSA_BITS = 2048;
// Entra dates a token back by five minutes, so that a service whose clock is slow accepts it.
const BACKDATED_SECONDS = 300;

let keys;

/** Returns the key pair that signs every token of this process. Generating it takes about 100 ms. */
function signingKeys() {
  keys ??= generateKeys();
  return keys;
}

async function generateKeys() {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: RSA_BITS });
  const fingerprint = createHash("sha1").update(publicKey.export({ type: "spki", format: "der" }));
  return { privateKey, publicKey, keyId: fingerprint.digest("base64url") };
}

/** Returns `claims` as a JWT that is signed with RS256. */
function signJwt(signer, claims) {
  const header = { typ: "JWT", alg: "RS256", x5t: signer.keyId, kid: signer.keyId };
  const unsigned = `${encode(header)}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(unsigned), signer.privateKey);
  return `${unsigned}.${signature.toString("base64url")}`;
}

/** Returns a token and its times in seconds. `expiresOn` replaces the lifetime and may be in the past. */
function issueToken(
  signer,
  { tenantId, identity, resource, capabilities, nowMs, lifetimeSeconds, expiresOn },
) {
  const now = Math.floor(nowMs / 1000);
  const notBefore = now - BACKDATED_SECONDS;
  const expiry = expiresOn ?? now + lifetimeSeconds;
  const issuer = `https://sts.windows.net/${tenantId}/`;
  const claims = {
    aud: resource,
    iss: issuer,
    iat: notBefore,
    nbf: notBefore,
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
  };
  if (capabilities.length > 0) claims.xms_cc = capabilities;
  return {
    accessToken: signJwt(signer, claims),
    identity,
    resource,
    notBefore,
    expiresOn: expiry,
    expiresIn: expiry - now,
  };
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

module.exports = { issueToken, signJwt, signingKeys };
