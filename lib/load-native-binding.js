"use strict";

/*
 * The add-on of a machine on which index.js did not find it at once, or what to tell somebody whose machine has
 * none. Loaded then only.
 */

/** The add-on by the generated loader, which also finds one that was just built. */
function load(refusals) {
  let addOn;
  try {
    addOn = require("../binding.js");
  } catch (error) {
    throw withoutAddOn(refusals, error);
  }
  // Who names a library by that variable knows which one.
  const isNamed = process.env.NAPI_RS_NATIVE_LIBRARY_PATH !== undefined;
  if (!isNamed && addOn.version() !== require("../package.json").version) throw withoutAddOn(refusals);
  return addOn;
}

/** Which package the machine lacks, why that happens, what helps. */
function withoutAddOn(refusals, loaderError) {
  const { optionalDependencies, version } = require("../package.json");
  if (optionalDependencies === undefined) {
    return new Error('managed-identity-native has no add-on yet. In its repository, run "npm run build".', {
      cause: loaderError,
    });
  }
  const { platform, arch } = process;
  const libc = platform === "linux" ? libraryName() : undefined;
  const machine = [platform, arch, libc].filter(Boolean).join(" ");
  const [name, refusal] = [...refusals].at(libc === "musl" ? -1 : 0);
  const told = (words) =>
    Object.assign(new Error(words, { cause: refusal }), refusal.code && { code: refusal.code });
  if (!Object.hasOwn(optionalDependencies, name)) {
    const there = Object.keys(optionalDependencies).join(", ");
    return told(
      `managed-identity-native has no add-on for this machine (${machine}). It has these: ${there}.`,
    );
  }
  const missing = refusal.code === "MODULE_NOT_FOUND";
  const [reason] = String(refusal.message).split("\n");
  const options = [`--os=${platform}`, `--cpu=${arch}`, libc && `--libc=${libc}`].filter(Boolean).join(" ");
  return told(`managed-identity-native has no add-on: ${name}, its package for this machine (${machine}), ${
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

/** The C library of this Linux, as npm calls it. Only asked when there is nothing to load: it takes milliseconds. */
function libraryName() {
  const { report } = process;
  if (report === undefined) return "glibc";
  const { excludeNetwork } = report;
  report.excludeNetwork = true; // Else it looks up the name of every peer.
  const { glibcVersionRuntime } = report.getReport().header;
  report.excludeNetwork = excludeNetwork;
  return glibcVersionRuntime === undefined ? "musl" : "glibc";
}

module.exports.load = load;
