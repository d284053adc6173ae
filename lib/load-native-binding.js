"use strict";

/*
 * Loads the add-on with the generated loader after index.js failed to, or throws an error that says what helps.
 */

/** Loads the add-on with the generated loader, which also finds one that was just built. */
function load(loadErrors) {
  let addon;
  try {
    addon = require("../binding.js");
  } catch (error) {
    throw missingAddonError(loadErrors, error);
  }
  // A library that was chosen with that variable may be of any version.
  const isPathGiven = process.env.NAPI_RS_NATIVE_LIBRARY_PATH !== undefined;
  if (!isPathGiven && addon.version() !== require("../package.json").version)
    throw missingAddonError(loadErrors);
  return addon;
}

/** Returns an error that names the missing package, the usual causes and their remedies. */
function missingAddonError(loadErrors, loaderError) {
  const { optionalDependencies, version } = require("../package.json");
  if (optionalDependencies === undefined) {
    return new Error('managed-identity-native has no add-on yet. In its repository, run "npm run build".', {
      cause: loaderError,
    });
  }
  const { platform, arch } = process;
  const libc = platform === "linux" ? detectLibc() : undefined;
  const machine = [platform, arch, libc].filter(Boolean).join(" ");
  const [name, loadError] = [...loadErrors].at(libc === "musl" ? -1 : 0);
  const makeError = (message) =>
    Object.assign(new Error(message, { cause: loadError }), loadError.code && { code: loadError.code });
  if (!Object.hasOwn(optionalDependencies, name)) {
    const there = Object.keys(optionalDependencies).join(", ");
    return makeError(
      `managed-identity-native has no add-on for this machine (${machine}). It has these: ${there}.`,
    );
  }
  const missing = loadError.code === "MODULE_NOT_FOUND";
  const [reason] = String(loadError.message).split("\n");
  const options = [`--os=${platform}`, `--cpu=${arch}`, libc && `--libc=${libc}`].filter(Boolean).join(" ");
  return makeError(`managed-identity-native has no add-on: ${name}, its package for this machine (${machine}), ${
    missing ? "is not installed" : `is installed, but cannot be used: ${reason}`
  }.

The usual causes, and what helps:
- npm left it out, as it does when package-lock.json was written on another system
  (https://github.com/npm/cli/issues/4828). Remove node_modules and package-lock.json, then: npm install
- Optional dependencies were left out, by --omit=optional or a setting. Run: npm install --include=optional
- node_modules was copied from another system, processor or C library, or a bundler left the package behind.
  Install for the machine that runs it: npm install ${options}

To add this package alone: npm install --no-save ${name}@${version}`);
}

/** Returns npm's name of this machine's C library. Takes milliseconds, so it is called only for the message. */
function detectLibc() {
  const { report } = process;
  if (report === undefined) return "glibc";
  const { excludeNetwork } = report;
  report.excludeNetwork = true; // Otherwise it resolves the name of every peer.
  const { glibcVersionRuntime } = report.getReport().header;
  report.excludeNetwork = excludeNetwork;
  return glibcVersionRuntime === undefined ? "musl" : "glibc";
}

module.exports.load = load;
