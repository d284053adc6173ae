"use strict";

// Turns what a test asked for into settings with every default filled in, or says which option is wrong.
// It must not know what a host does with them.

const { randomBytes } = require("node:crypto");
const { hosts } = require("./sources/index.js");
const {
  Identities,
  otherUserAssignedIdentity,
  systemAssignedIdentity,
  tenantId,
  userAssignedIdentity,
} = require("./identities.js");

// IMDS hands out tokens of 24 hours.
const DEFAULT_LIFETIME_SECONDS = 86_400;
const MAX_PORT = 65_535;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DOMAIN = /^([a-z0-9-]{1,63}\.)+[a-z]{2,63}$/i;
/** getManagedIdentitySource()'s name for a host that is found without any variable. */
const IMDS = ["defaulttoimds", "imds"];
const IDENTITY_FIELDS = ["clientId", "objectId", "resourceId"];

function readOptions(options) {
  if (options === null || typeof options !== "object") {
    throw new TypeError('startEmulator: give an object with a "source".');
  }
  const source = readSource(options);
  return {
    host: hosts[source],
    source,
    port: integer(options, "port", 0, MAX_PORT) ?? 0,
    secret: text(options, "secret") ?? randomBytes(16).toString("hex").toUpperCase(),
    tenantId: readTenant(options) ?? tenantId,
    identities: readIdentities(options),
    resources: options.resources === undefined ? undefined : list(options, "resources"),
    lifetimeSeconds:
      integer(options, "lifetimeSeconds", 1, Number.MAX_SAFE_INTEGER) ?? DEFAULT_LIFETIME_SECONDS,
    clock: callable(options, "clock") ?? Date.now,
    tokens: callable(options, "tokens"),
    tokensDirectory: text(options, "tokensDirectory"),
    secure: options.secure ?? hosts[source].secure,
    certificate: options.certificate,
    tls: options.tls,
  };
}

/** The emulator's own name of a source, which may be written as getManagedIdentitySource() has it, in any case. */
function readSource({ source }) {
  const wanted = typeof source === "string" ? comparable(source) : undefined;
  const name = wanted === IMDS[0] ? IMDS[1] : wanted;
  const found = Object.keys(hosts).find((known) => comparable(known) === name);
  if (found === undefined) {
    throw new TypeError(`startEmulator: "source" must be one of ${Object.keys(hosts).join(", ")}.`);
  }
  return found;
}

function comparable(source) {
  return source.toLowerCase().replaceAll("-", "");
}

/** A token that is signed here names its tenant by a GUID; whoever gives tokens may know the tenant by its domain. */
function readTenant(options) {
  const tenant = text(options, "tenantId");
  if (tenant === undefined || GUID.test(tenant)) return tenant;
  if (options.tokens !== undefined && DOMAIN.test(tenant)) return tenant;
  const domain = options.tokens === undefined ? "" : " or a domain name";
  throw new TypeError(`startEmulator: "tenantId" must be a GUID${domain}.`);
}

function readIdentities(options) {
  const { systemAssigned, identities } = options;
  if (identities !== undefined && !Array.isArray(identities)) {
    throw new TypeError('startEmulator: "identities" must be an array.');
  }
  const userAssigned = identities ?? [userAssignedIdentity, otherUserAssignedIdentity];
  for (const identity of userAssigned) {
    for (const field of IDENTITY_FIELDS) {
      if (typeof identity?.[field] !== "string" || identity[field] === "") {
        throw new TypeError(`startEmulator: each of "identities" needs a "${field}".`);
      }
    }
  }
  const system = systemAssigned === false ? undefined : { ...systemAssignedIdentity, ...systemAssigned };
  return new Identities(system, userAssigned, {
    any: flag(options, "anyIdentity"),
    onUnknown: callable(options, "onUnknownIdentity"),
  });
}

function callable(options, name) {
  const value = options[name];
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`startEmulator: "${name}" must be a function.`);
  }
  return value;
}

function flag(options, name) {
  const value = options[name];
  if (value !== undefined && typeof value !== "boolean") {
    throw new TypeError(`startEmulator: "${name}" must be true or false.`);
  }
  return value;
}

function integer(options, name, least, most) {
  const value = options[name];
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new TypeError(`startEmulator: "${name}" must be an integer from ${least} to ${most}.`);
  }
  return value;
}

function text(options, name) {
  const value = options[name];
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "") {
    throw new TypeError(`startEmulator: "${name}" must be a non-empty string.`);
  }
  return value;
}

function list(options, name) {
  const value = options[name];
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) {
    throw new TypeError(`startEmulator: "${name}" must be an array of strings.`);
  }
  return value;
}

module.exports = { readOptions };
