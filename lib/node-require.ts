/*
 * Node.js's own `require`, for the add-on and for modules of Node.js that would slow down a cold start: they are loaded
 * on first use. scripts/build-js.mjs replaces this module by node-require.bundler.ts in the entry point for bundlers.
 */

export const nodeRequire: NodeJS.Require = require;

/** Loads a platform package. Each name is spelt out for tools that trace the files of a program (Next.js, ncc). */
export function requirePackage(target: string): unknown {
  switch (target) {
    case "linux-x64-gnu":
      return require("managed-identity-native-linux-x64-gnu");
    case "linux-x64-musl":
      return require("managed-identity-native-linux-x64-musl");
    case "linux-arm64-gnu":
      return require("managed-identity-native-linux-arm64-gnu");
    case "linux-arm64-musl":
      return require("managed-identity-native-linux-arm64-musl");
    case "darwin-x64":
      return require("managed-identity-native-darwin-x64");
    case "darwin-arm64":
      return require("managed-identity-native-darwin-arm64");
    case "win32-x64-msvc":
      return require("managed-identity-native-win32-x64-msvc");
    case "win32-arm64-msvc":
      return require("managed-identity-native-win32-arm64-msvc");
    default:
      throw new Error(`There is no package for ${target}.`);
  }
}
