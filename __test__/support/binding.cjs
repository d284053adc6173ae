// The add-on that was built, as the package loads it: the same instance in each thread.

const { existsSync } = require("node:fs");
const { join } = require("node:path");

const { platform, arch } = process;
const suffixes = { linux: ["-gnu", "-musl"], win32: ["-msvc"] }[platform] ?? [""];
const root = join(__dirname, "..", "..");
const files = suffixes.map((suffix) =>
  join(root, `managed-identity-native.${platform}-${arch}${suffix}.node`),
);

module.exports = require(files.find(existsSync) ?? files[0]);
