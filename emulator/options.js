"use strict";

// Parses the options of `startEmulator`: fills in every default, or throws an error that names the wrong option.

const { randomBytes } = require("node:crypto");
const {
  Identities,
  otherUserAssignedIdentity,
  systemAssignedIdentity,
  tenantId,
  userAssignedIdentity,
} = require("./identities.js");
const { sourceDefinitions } = require("./sources/index.js");

// The lifetime of IMDS's tokens: 24 hours.
const DEFAULT_LIFETIME_SECONDS = 86_400;
const MAX_PORT = 65_535;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DOMAIN = /^([a-z0-9-]{1,63}\.)+[a-z]{2,63}$/i;
/** The name with which getManagedIdentitySource() reports IMDS when no variable is set, without case and dashes. */
const DEFAULT_TO_IMDS = "defaulttoimds";
const IDENTITY_FIELDS = ["clientId", "objectId", "resourceId"];

function parseOptions(options) {
  if (options === null || typeof options !== "object") {
    throw new TypeError('startEmulator: pass an object with a "source".');
  }
  const source = readSource(options);
  const definition = sourceDefinitions[source];
  return {
    definition,
    source,
    port: readInteger(options, "port", 0, MAX_PORT) ?? 0,
    secret: readString(options, "secret") ?? randomBytes(16).toString("hex").toUpperCase(),
    tenantId: readTenant(options) ?? tenantId,
    identities: readIdentities(options),
    resources: options.resources === undefined ? undefined : readStrings(options, "resources"),
    lifetimeSeconds:
      readInteger(options, "lifetimeSeconds", 1, Number.MAX_SAFE_INTEGER) ?? DEFAULT_LIFETIME_SECONDS,
    clock: readFunction(options, "clock") ?? Date.now,
    tokens: readFunction(options, "tokens"),
    tokensDirectory: readString(options, "tokensDirectory"),
    secure: options.secure ?? definition.isSecure,
    certificate: options.certificate,
    tls: options.tls,
  };
}

/** Returns the source's own name. The option may be in any case, with or without dashes. */
function readSource({ source }) {
  const normalized = typeof source === "string" ? normalize(source) : undefined;
  const wanted = normalized === DEFAULT_TO_IMDS ? "imds" : normalized;
  const found = Object.keys(sourceDefinitions).find((name) => normalize(name) === wanted);
  if (found === undefined) {
    throw new TypeError(
      `startEmulator: "source" must be one of ${Object.keys(sourceDefinitions).join(", ")}.`,
    );
  }
  return found;
}

function normalize(source) {
  return source.toLowerCase().replaceAll("-", "");
}

/** A token that the emulator signs needs the tenant's GUID. A `tokens` function may also take the tenant's domain name. */
function readTenant(options) {
  const tenant = readString(options, "tenantId");
  if (tenant === undefined || GUID.test(tenant)) return tenant;
  if (options.tokens !== undefined && DOMAIN.test(tenant)) return tenant;
  const orDomain = options.tokens === undefined ? "" : " or a domain name";
  throw new TypeError(`startEmulator: "tenantId" must be a GUID${orDomain}.`);
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
    acceptAny: readBoolean(options, "anyIdentity"),
    onUnknown: readFunction(options, "onUnknownIdentity"),
  });
}

function readFunction(options, name) {
  const value = options[name];
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`startEmulator: "${name}" must be a function.`);
  }
  return value;
}

function readBoolean(options, name) {
  const value = options[name];
  if (value !== undefined && typeof value !== "boolean") {
    throw new TypeError(`startEmulator: "${name}" must be true or false.`);
  }
  return value;
}

function readInteger(options, name, least, most) {
  const value = options[name];
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new TypeError(`startEmulator: "${name}" must be an integer from ${least} to ${most}.`);
  }
  return value;
}

function readString(options, name) {
  const value = options[name];
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "") {
    throw new TypeError(`startEmulator: "${name}" must be a non-empty string.`);
  }
  return value;
}

function readStrings(options, name) {
  const value = options[name];
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) {
    throw new TypeError(`startEmulator: "${name}" must be an array of strings.`);
  }
  return value;
}

module.exports = { parseOptions };
