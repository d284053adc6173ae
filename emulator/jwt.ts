// Signed JSON Web Tokens (RFC 7519, RFC 7515).

import { createHash, generateKeyPair, type KeyObject, sign } from "node:crypto";
import { promisify } from "node:util";

const RSA_BITS = 2048;

export interface SigningKeys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The `kid` of tokens and of the JSON Web Key Set. */
  readonly keyId: string;
}

let keys: Promise<SigningKeys> | undefined;

/** Returns the key pair that signs every token of this process. Generating it takes about 100 ms. */
export function signingKeys(): Promise<SigningKeys> {
  keys ??= generateKeys();
  return keys;
}

async function generateKeys(): Promise<SigningKeys> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: RSA_BITS });
  const fingerprint = createHash("sha1").update(publicKey.export({ type: "spki", format: "der" }));
  return { privateKey, publicKey, keyId: fingerprint.digest("base64url") };
}

/** Returns `claims` as a JWT that is signed with RS256. */
export function signJwt({ keyId, privateKey }: SigningKeys, claims: object): string {
  const header = { typ: "JWT", alg: "RS256", x5t: keyId, kid: keyId };
  const unsigned = `${encode(header)}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(unsigned), privateKey);
  return `${unsigned}.${signature.toString("base64url")}`;
}

/** Parses the claims of a JWT without verifying its signature. Returns undefined if they are not a JSON object. */
export function parseJwtClaims(claims: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(claims, "base64url").toString("utf8"));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object";
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
