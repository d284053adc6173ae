// Self-signed X.509 v3 certificates (RFC 5280). Node.js cannot create certificates, and the package has no runtime
// dependency that could.

import { createHash, generateKeyPair, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";
import { promisify } from "node:util";
import type { CertificateOptions, CertificateWithKey } from "managed-identity-native/emulator";
import * as der from "./der.js";

const OID = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAlternativeName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
};

interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

interface KeyType {
  generate(): Promise<KeyPair>;
  /** Returns the signature's AlgorithmIdentifier. */
  algorithm(): Buffer;
  /** The extension KeyUsage. */
  readonly usage: Buffer;
}

const DIGITAL_SIGNATURE = 0x80;
const KEY_ENCIPHERMENT = 0x20;
const KEY_TYPES: Readonly<Record<NonNullable<CertificateOptions["key"]>, KeyType>> = {
  "P-256": {
    generate: () => promisify(generateKeyPair)("ec", { namedCurve: "P-256" }),
    algorithm: () => der.sequence(der.objectIdentifier(OID.ecdsaWithSha256)),
    usage: der.bitString(Buffer.from([DIGITAL_SIGNATURE]), 7),
  },
  "RSA-2048": {
    generate: () => promisify(generateKeyPair)("rsa", { modulusLength: 2048 }),
    algorithm: () => der.sequence(der.objectIdentifier(OID.sha256WithRsa), der.nullValue()),
    usage: der.bitString(Buffer.from([DIGITAL_SIGNATURE | KEY_ENCIPHERMENT]), 5),
  },
};

const VERSION_3 = 2;
const DNS_NAME = 2;
const IP_ADDRESS = 7;
const SERIAL_BYTES = 16;
const DAY_MS = 86_400_000;
const VALID_DAYS = 30;
const LOOPBACK = ["localhost", "127.0.0.1"];
const DEFAULT_SUBJECT = "managed-identity-native emulator";

// One key pair per type and process, because generating an RSA key takes about 100 ms.
const keyPairs = new Map<string, Promise<KeyPair>>();

/** Returns a certificate and its private key; `CertificateOptions` in index.d.ts documents the options. */
export async function createCertificate({
  subject = DEFAULT_SUBJECT,
  key = "P-256",
  notBefore = new Date(Date.now() - DAY_MS),
  notAfter = new Date(Date.now() + VALID_DAYS * DAY_MS),
  names = LOOPBACK,
}: CertificateOptions = {}): Promise<CertificateWithKey> {
  if (!Object.hasOwn(KEY_TYPES, key)) {
    throw new TypeError(`emulator: "key" must be one of ${Object.keys(KEY_TYPES).join(", ")}.`);
  }
  const keyType = KEY_TYPES[key];
  const { privateKey, publicKey } = await keyPair(key);
  const tbs = tbsCertificate({ subject, names, notBefore, notAfter, publicKey, keyType });
  const signature = sign("sha256", tbs, privateKey);
  const bytes = der.sequence(tbs, keyType.algorithm(), der.bitString(signature));
  return {
    der: bytes,
    pem: toPem(bytes),
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    thumbprint: createHash("sha1").update(bytes).digest("hex").toUpperCase(),
  };
}

function keyPair(key: keyof typeof KEY_TYPES): Promise<KeyPair> {
  const existing = keyPairs.get(key);
  if (existing !== undefined) return existing;
  const generated = KEY_TYPES[key].generate();
  keyPairs.set(key, generated);
  return generated;
}

type CertificateFields = Required<Omit<CertificateOptions, "key">> & {
  readonly publicKey: KeyObject;
  readonly keyType: KeyType;
};

/** Returns the TBSCertificate, which is the part that is signed. */
function tbsCertificate({
  subject,
  names,
  notBefore,
  notAfter,
  publicKey,
  keyType,
}: CertificateFields): Buffer {
  const name = der.sequence(
    der.set(der.sequence(der.objectIdentifier(OID.commonName), der.utf8String(subject))),
  );
  const keyInfo = publicKey.export({ type: "spki", format: "der" });
  return der.sequence(
    der.explicit(0, der.integer(VERSION_3)),
    der.integer(serialNumber()),
    keyType.algorithm(),
    name,
    der.sequence(der.time(notBefore), der.time(notAfter)),
    name,
    keyInfo,
    der.explicit(3, der.sequence(...extensions({ names, keyType }, keyInfo))),
  );
}

function extensions(
  { names, keyType }: Pick<CertificateFields, "names" | "keyType">,
  keyInfo: Buffer,
): readonly Buffer[] {
  const list = [
    // Not a certificate authority: rustls rejects one as a server's own certificate.
    extension(OID.basicConstraints, der.sequence(), true),
    extension(OID.keyUsage, keyType.usage, true),
    extension(OID.extendedKeyUsage, der.sequence(der.objectIdentifier(OID.serverAuth))),
    extension(OID.subjectKeyIdentifier, der.octetString(createHash("sha1").update(keyInfo).digest())),
  ];
  if (names.length > 0) {
    list.push(extension(OID.subjectAlternativeName, der.sequence(...names.map(alternativeName))));
  }
  return list;
}

function extension(oid: string, value: Buffer, isCritical = false): Buffer {
  const flag = isCritical ? [der.boolean(true)] : [];
  return der.sequence(der.objectIdentifier(oid), ...flag, der.octetString(value));
}

function alternativeName(name: string): Buffer {
  return isIPv4(name)
    ? der.implicit(IP_ADDRESS, Buffer.from(name.split(".").map(Number)))
    : der.implicit(DNS_NAME, Buffer.from(name, "ascii"));
}

/** Returns a random serial number that is positive and has no leading zero byte. */
function serialNumber(): Buffer {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes;
}

function toPem(bytes: Buffer): string {
  const lines = bytes.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
