"use strict";

// All sources by name. A source definition has
//
// - `isSecure`: whether the endpoint uses https by default;
// - `errorResponse(status, message)`: an error in the source's own format;
// - `create(context)`: returns the source of one endpoint, with `path` (of the token endpoint), `env`,
//   `answer(request, issueToken)`, which returns a response or a promise of one, and optionally
//   `discoveryDocument(request)`, `issueAssertion(overrides)` and `close()`.

const sourceDefinitions = Object.freeze({
  "app-service": require("./app-service.js"),
  imds: require("./imds.js"),
  "azure-arc": require("./azure-arc.js"),
  "cloud-shell": require("./cloud-shell.js"),
  "machine-learning": require("./machine-learning.js"),
  "service-fabric": require("./service-fabric.js"),
  "workload-identity": require("./workload-identity.js"),
});

module.exports = { sourceDefinitions };
