// A function, bundled in each way that README names, and laid out in a folder as it would be deployed: the bundle,
// and the packages only where the bundle needs them.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";

const run = promisify(execFile);
const ncc = join(
  dirname(createRequire(import.meta.url).resolve("@vercel/ncc/package.json")),
  "dist",
  "ncc",
  "cli.js",
);
const REQUIRE =
  'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** By name: how `entry` becomes the bundle in `folder`, which is returned, and whether it needs the packages beside. */
export const bundles = {
  "esbuild, the package external, CommonJS": {
    packages: true,
    make: (entry, folder) => esbuilt(entry, folder, "cjs", { external: ["managed-identity-native"] }),
  },
  "esbuild, the package external, ECMAScript modules": {
    packages: true,
    make: (entry, folder) => esbuilt(entry, folder, "esm", { external: ["managed-identity-native"] }),
  },
  "esbuild, the add-on copied, CommonJS": {
    packages: false,
    make: (entry, folder) => esbuilt(entry, folder, "cjs", { loader: { ".node": "copy" } }),
  },
  "esbuild, the add-on copied, ECMAScript modules": {
    packages: false,
    make: (entry, folder) =>
      esbuilt(entry, folder, "esm", { loader: { ".node": "copy" }, banner: { js: REQUIRE } }),
  },
  "ncc, the add-on copied": {
    packages: false,
    make: async (entry, folder) => {
      const script = entry.replace(/\.ts$/, ".js"); // Its own compiler does not know TypeScript 7.
      await build({ entryPoints: [entry], outfile: script, format: "cjs", logLevel: "silent" });
      await run(process.execPath, [ncc, "build", script, "--out", folder, "--quiet"]);
      return join(folder, "index.js");
    },
  },
};

async function esbuilt(entry, folder, format, options) {
  const extension = format === "esm" ? ".mjs" : ".js";
  const { warnings } = await build({
    ...options,
    bundle: true,
    entryPoints: { function: entry },
    format,
    logLevel: "silent",
    outExtension: { ".js": extension },
    outdir: folder,
    platform: "node",
    target: "node20",
  });
  if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
  return join(folder, `function${extension}`);
}

/** Bundles `entry`, a file of `project`, into a folder of its own; resolves with the path of the bundle. */
export async function deploy({ make, packages }, { project, entry, folder }) {
  mkdirSync(folder, { recursive: true });
  const bundle = await make(join(project, entry), join(folder, "dist"));
  if (packages) cpSync(join(project, "node_modules"), join(folder, "node_modules"), { recursive: true });
  return bundle;
}
