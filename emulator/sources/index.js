"use strict";

// The registry: which sources there are. A host is one file with the same shape throughout: its constants
// on the wire, `secure` (whether it speaks https by default), `fail(status, words)` (its own form of a
// failure that is not its own idea), and `open(site)`, which gives `path` (of the token endpoint), `env`,
// `answer(request, issue)`, an answer or a promise of one, and, where needed, `document(request)` and `close()`.

const hosts = Object.freeze({
  "app-service": require("./app-service.js"),
  imds: require("./imds.js"),
  "azure-arc": require("./azure-arc.js"),
  "cloud-shell": require("./cloud-shell.js"),
  "machine-learning": require("./machine-learning.js"),
  "service-fabric": require("./service-fabric.js"),
  "workload-identity": require("./workload-identity.js"),
});

module.exports = { hosts };
