// What docs/bundlers.md says: nothing for `next start`, and one option for a standalone server.

export default process.env.STANDALONE
  ? {
      output: "standalone",
      outputFileTracingRoot: import.meta.dirname,
      serverExternalPackages: ["managed-identity-native"],
    }
  : {};
