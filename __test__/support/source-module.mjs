// A module of the sources, as an entry point of dist/ would hold it: for tests of what no entry point exports.

import { readFileSync } from "node:fs";
import { Module } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The package's own classes exist once. */
const mainEntry = {
  name: "main-entry",
  setup({ onResolve }) {
    onResolve({ filter: /\/lib\/index\.js$/ }, () => ({ path: "./index.js", external: true }));
  },
};

/** Bundles and loads a module; `path` is from the root and without extension. */
export async function loadSource(path) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    bundle: true,
    define: { PACKAGE_VERSION: JSON.stringify(version) },
    entryPoints: [`./${path}`],
    // The platform packages, which are not installed here.
    external: ["managed-identity-native-*"],
    format: "cjs",
    logLevel: "silent",
    outdir: "dist",
    platform: "node",
    plugins: [mainEntry],
    target: "node20",
    write: false,
  });
  const module = new Module(join(root, "dist", "source.cjs"));
  module.filename = module.id;
  module.paths = Module._nodeModulePaths(root);
  module._compile(outputFiles[0].text, module.filename);
  return module.exports;
}
