"use strict";

// The emulator's public exports. index.d.ts documents them.

const { azureCliTokens } = require("./azure-cli.js");
const { Endpoint } = require("./endpoint.js");
const identities = require("./identities.js");
const { parseOptions } = require("./options.js");
const { sourceDefinitions } = require("./sources/index.js");
const { signingKeys } = require("./token.js");
const { createCertificate } = require("./x509/certificate.js");

/** Starts a local managed identity endpoint and resolves once it listens. */
async function startEmulator(options) {
  const settings = parseOptions(options);
  const endpoint = new Endpoint(settings, await signingKeys());
  await endpoint.open();
  return endpoint;
}

module.exports.startEmulator = startEmulator;
module.exports.azureCliTokens = azureCliTokens;
module.exports.createCertificate = createCertificate;
module.exports.sources = Object.freeze(Object.keys(sourceDefinitions));
module.exports.tenantId = identities.tenantId;
module.exports.systemAssignedIdentity = identities.systemAssignedIdentity;
module.exports.userAssignedIdentity = identities.userAssignedIdentity;
module.exports.otherUserAssignedIdentity = identities.otherUserAssignedIdentity;
