"use strict";

/*
 * The native binding: the add-on of this machine.
 */

/** The version of this package and of its add-on. */
const VERSION = "0.1.0";

/**
 * Loads the add-on of the platform's package: first beside this package, where package managers install it, which saves
 * reading its package.json; then by its name; then with the generated loader, which takes five times as long. It always
 * uses `require`, whose cache keeps an add-on from being loaded twice into one thread.
 */
function loadBinding() {
  const { platform, arch } = process;
  const abiSuffixes = { linux: ["-gnu", "-musl"], win32: ["-msvc"] }[platform] ?? [""];
  const targets = abiSuffixes.map((suffix) => `${platform}-${arch}${suffix}`);
  const loadErrors = new Map();
  const tryLoad = (target, path) => {
    const name = `managed-identity-native-${target}`;
    try {
      const addOn = require(path(name));
      if (addOn.version() === VERSION) return addOn;
      throw new Error(`it is version ${addOn.version()}, and this package ${VERSION}`);
    } catch (error) {
      loadErrors.set(name, error);
      return undefined;
    }
  };
  for (const target of targets) {
    const siblingAddon = tryLoad(
      target,
      (name) => `${__dirname}/../../${name}/managed-identity-native.${target}.node`,
    );
    if (siblingAddon !== undefined) return siblingAddon;
  }
  for (const target of targets) {
    const packageAddon = tryLoad(target, (name) => name);
    if (packageAddon !== undefined) return packageAddon;
  }
  return require("./load-native-binding.js").load(loadErrors);
}

module.exports.binding = loadBinding();
