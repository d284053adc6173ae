// The configuration that docs/bundlers.md describes: nothing for `next start`, and one option for a standalone server. The roots are named because
// this folder is in a repository with a lock file of its own.

const roots = { outputFileTracingRoot: import.meta.dirname, turbopack: { root: import.meta.dirname } };

export default process.env.STANDALONE
  ? { ...roots, output: "standalone", serverExternalPackages: ["managed-identity-native"] }
  : roots;
