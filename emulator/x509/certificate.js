"use strict";

// Self-signed X.509 v3 certificates, written by hand so that the emulator needs no package and no
// openssl. It must not know who serves them. RFC 5280.

const { createHash, generateKeyPair, randomBytes, sign } = require("node:crypto");
const { isIPv4 } = require("node:net");
const { promisify } = require("node:util");
const der = require("./der.js");

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

// The kinds of key: how one is made, how a signature with it is called, and what it may be used for.
const DIGITAL_SIGNATURE = 0x80;
const KEY_ENCIPHERMENT = 0x20;
const KINDS = {
  "P-256": {
    generate: ["ec", { namedCurve: "P-256" }],
    algorithm: () => der.sequence(der.objectIdentifier(OID.ecdsaWithSha256)),
    usage: der.bitString(Buffer.from([DIGITAL_SIGNATURE]), 7),
  },
  "RSA-2048": {
    generate: ["rsa", { modulusLength: 2048 }],
    algorithm: () => der.sequence(der.objectIdentifier(OID.sha256WithRsa), der.nothing()),
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

// A certificate of its own for each endpoint, a pair of keys for each kind and process: RSA takes 100 ms.
const pairs = new Map();

/** A certificate with its private key; see `CertificateOptions` in index.d.ts. */
async function createCertificate({
  subject = DEFAULT_SUBJECT,
  key = "P-256",
  notBefore = new Date(Date.now() - DAY_MS),
  notAfter = new Date(Date.now() + VALID_DAYS * DAY_MS),
  names = LOOPBACK,
} = {}) {
  const kind = KINDS[key];
  if (!kind) throw new TypeError(`emulator: "key" is one of ${Object.keys(KINDS).join(", ")}.`);
  if (!pairs.has(key)) pairs.set(key, promisify(generateKeyPair)(...kind.generate));
  const { privateKey, publicKey } = await pairs.get(key);
  const body = toBeSigned({ subject, names, notBefore, notAfter, publicKey, kind });
  const signature = sign("sha256", body, privateKey);
  const bytes = der.sequence(body, kind.algorithm(), der.bitString(signature));
  return {
    der: bytes,
    pem: armour(bytes),
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
    thumbprint: createHash("sha1").update(bytes).digest("hex").toUpperCase(),
  };
}

function toBeSigned({ subject, names, notBefore, notAfter, publicKey, kind }) {
  const name = der.sequence(
    der.set(der.sequence(der.objectIdentifier(OID.commonName), der.utf8String(subject))),
  );
  const keyInfo = publicKey.export({ type: "spki", format: "der" });
  return der.sequence(
    der.explicit(0, der.integer(VERSION_3)),
    der.integer(serialNumber()),
    kind.algorithm(),
    name,
    der.sequence(der.time(notBefore), der.time(notAfter)),
    name,
    keyInfo,
    der.explicit(3, der.sequence(...extensions({ names, keyInfo, kind }))),
  );
}

function extensions({ names, keyInfo, kind }) {
  const list = [
    // Not an authority: rustls refuses one that serves as a host's own certificate.
    extension(OID.basicConstraints, der.sequence(), true),
    extension(OID.keyUsage, kind.usage, true),
    extension(OID.extendedKeyUsage, der.sequence(der.objectIdentifier(OID.serverAuth))),
    extension(OID.subjectKeyIdentifier, der.octetString(createHash("sha1").update(keyInfo).digest())),
  ];
  if (names.length > 0) {
    list.push(extension(OID.subjectAlternativeName, der.sequence(...names.map(alternativeName))));
  }
  return list;
}

function extension(oid, value, critical = false) {
  const flag = critical ? [der.boolean(true)] : [];
  return der.sequence(der.objectIdentifier(oid), ...flag, der.octetString(value));
}

function alternativeName(name) {
  return isIPv4(name)
    ? der.implicit(IP_ADDRESS, Buffer.from(name.split(".").map(Number)))
    : der.implicit(DNS_NAME, Buffer.from(name, "ascii"));
}

/** Positive, without a leading zero byte. */
function serialNumber() {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  return bytes;
}

function armour(bytes) {
  const lines = bytes.toString("base64").match(/.{1,64}/g);
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

module.exports = { createCertificate };
