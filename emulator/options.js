"use strict";

// Turns what a test asked for into settings with every default filled in, or says which option is wrong.
// It must not know what a host does with them.

const { randomBytes } = require("node:crypto");
const { hosts } = require("./hosts/index.js");
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
const IDENTITY_FIELDS = ["clientId", "objectId", "resourceId"];

function readOptions(options) {
  if (options === null || typeof options !== "object") {
    throw new TypeError('startEmulator: give an object with a "source".');
  }
  if (!Object.hasOwn(hosts, options.source)) {
    throw new TypeError(`startEmulator: "source" must be one of ${Object.keys(hosts).join(", ")}.`);
  }
  return {
    host: hosts[options.source],
    source: options.source,
    port: integer(options, "port", 0, MAX_PORT) ?? 0,
    secret: text(options, "secret") ?? randomBytes(16).toString("hex").toUpperCase(),
    tenantId: text(options, "tenantId") ?? tenantId,
    identities: readIdentities(options),
    resources: options.resources === undefined ? undefined : list(options, "resources"),
    lifetimeSeconds:
      integer(options, "lifetimeSeconds", 1, Number.MAX_SAFE_INTEGER) ?? DEFAULT_LIFETIME_SECONDS,
    clock: callable(options, "clock") ?? Date.now,
    tokens: callable(options, "tokens"),
    tokensDirectory: text(options, "tokensDirectory"),
    secure: options.secure ?? hosts[options.source].secure,
    certificate: options.certificate,
    tls: options.tls,
  };
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
  return new Identities(system, userAssigned, flag(options, "anyIdentity"));
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
