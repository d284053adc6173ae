// A replacement for keytar, which @azure/msal-node-extensions requires on load. It would be used only on macOS and
// Linux desktops; the tests use plain files.
module.exports = {};
