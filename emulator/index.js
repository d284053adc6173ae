"use strict";

// The door of the emulator: what a test may use, and nothing of how it is done. It must not know a
// host's wire format or a socket.

const { azureCliTokens } = require("./azure-cli.js");
const { createCertificate } = require("./x509/certificate.js");
const { Endpoint } = require("./endpoint.js");
const { hosts } = require("./sources/index.js");
const identities = require("./identities.js");
const { readOptions } = require("./options.js");
const { signingKeys } = require("./token.js");

/** Starts a local managed identity endpoint and resolves once it listens. */
async function startEmulator(options) {
  const settings = readOptions(options);
  const endpoint = new Endpoint(settings, await signingKeys());
  await endpoint.open();
  return endpoint;
}

module.exports.startEmulator = startEmulator;
module.exports.azureCliTokens = azureCliTokens;
module.exports.createCertificate = createCertificate;
module.exports.sources = Object.freeze(Object.keys(hosts));
module.exports.tenantId = identities.tenantId;
module.exports.systemAssignedIdentity = identities.systemAssignedIdentity;
module.exports.userAssignedIdentity = identities.userAssignedIdentity;
module.exports.otherUserAssignedIdentity = identities.otherUserAssignedIdentity;
