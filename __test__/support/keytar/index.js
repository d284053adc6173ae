// Stands in for keytar: @azure/msal-node-extensions requires it when it is loaded, and uses it on macOS and Linux
// desktops only, where the tests use plain files.
module.exports = {};
