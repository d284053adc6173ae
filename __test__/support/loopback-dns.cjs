// Preloaded into a child program: every name that the program looks up is this machine. Names that end with .invalid do
// not exist. Native code does not look names up here.

const dns = require("node:dns");

dns.lookup = (hostname, options, callback) => {
  process.nextTick(() => {
    if (hostname.endsWith(".invalid")) {
      callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" }));
    } else if (options.all) {
      callback(null, [{ address: "127.0.0.1", family: 4 }]);
    } else {
      callback(null, "127.0.0.1", 4);
    }
  });
};
