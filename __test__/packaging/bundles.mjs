// Bundles a function in each way that docs/bundlers.md describes, into a folder with the files of a deployment: the bundle,
// and the packages or the add-on only where the bundle needs them.

import { execFile } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, extname, join } from "node:path";
import { promisify } from "node:util";
import nodeResolve from "@rollup/plugin-node-resolve";
import { build } from "esbuild";
import { rollup } from "rollup";
import { build as viteBuild } from "vite";
import webpack from "webpack";

const run = promisify(execFile);
const ncc = join(
  dirname(createRequire(import.meta.url).resolve("@vercel/ncc/package.json")),
  "dist",
  "ncc",
  "cli.js",
);

/** Functions that bundle `entry` in `folder`. They resolve with the path of the bundle, and reject if there is a warning. */
const bundlers = {
  "esbuild, CommonJS": (entry, folder) => bundleWithEsbuild(entry, folder, "cjs"),
  "esbuild, ECMAScript modules": (entry, folder) => bundleWithEsbuild(entry, folder, "esm"),
  "webpack, CommonJS": (entry, folder) =>
    bundleWithWebpack(entry, folder, { output: { filename: "function.js", library: { type: "commonjs2" } } }),
  "webpack, ECMAScript modules": (entry, folder) =>
    bundleWithWebpack(entry, folder, {
      experiments: { outputModule: true },
      output: { filename: "function.mjs", module: true, library: { type: "module" } },
    }),
  "rollup, CommonJS": (entry, folder) => bundleWithRollup(entry, folder, "cjs"),
  "rollup, ECMAScript modules": (entry, folder) => bundleWithRollup(entry, folder, "es"),
  "Vite SSR, all packages bundled": (entry, folder) => bundleWithVite(entry, folder, { noExternal: true }),
};

/** The files that are deployed with a bundle. */
const deployments = {
  "node_modules beside it": { packages: true },
  "the add-on copied": { addon: true },
};

/** By name: a function as above (`make`), and the files that are deployed with its bundle. */
export const bundles = {
  "esbuild, the package external, CommonJS": {
    packages: true,
    make: (entry, folder) =>
      bundleWithEsbuild(entry, folder, "cjs", { external: ["managed-identity-native"] }),
  },
  "esbuild, the package external, ECMAScript modules": {
    packages: true,
    make: (entry, folder) =>
      bundleWithEsbuild(entry, folder, "esm", { external: ["managed-identity-native"] }),
  },
  "webpack, the package external": {
    packages: true,
    make: (entry, folder) =>
      bundleWithWebpack(entry, folder, {
        externals: { "managed-identity-native": "commonjs managed-identity-native" },
        output: { filename: "function.js", library: { type: "commonjs2" } },
      }),
  },
  "rollup, the package external": {
    packages: true,
    make: (entry, folder) => bundleWithRollup(entry, folder, "es", ["managed-identity-native"]),
  },
  "Vite SSR, the package external": {
    packages: true,
    make: (entry, folder) => bundleWithVite(entry, folder, {}),
  },
  "ncc, the add-on copied": {
    make: async (entry, folder) => {
      const script = entry.replace(/\.ts$/, ".js"); // ncc's own compiler does not support TypeScript 7.
      await build({ entryPoints: [entry], outfile: script, format: "cjs", logLevel: "silent" });
      await run(process.execPath, [ncc, "build", script, "--out", folder, "--quiet"]);
      return join(folder, "index.js");
    },
  },
  ...Object.fromEntries(
    Object.entries(bundlers).flatMap(([bundler, make]) =>
      Object.entries(deployments).map(([deployment, needed]) => [
        `${bundler}, ${deployment}`,
        { ...needed, make },
      ]),
    ),
  ),
};

async function bundleWithEsbuild(entry, folder, format, options) {
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

async function bundleWithWebpack(entry, folder, { output, ...options }) {
  const compiler = webpack({
    ...options,
    mode: "production",
    context: dirname(entry),
    entry: await toJavaScript(entry, folder),
    target: "node20",
    output: { ...output, path: folder },
  });
  const stats = await promisify(compiler.run.bind(compiler))();
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  if (errors.length + warnings.length > 0) throw new Error(JSON.stringify([...errors, ...warnings]));
  return join(folder, output.filename);
}

async function bundleWithRollup(entry, folder, format, external = []) {
  const file = join(folder, format === "es" ? "function.mjs" : "function.js");
  const bundle = await rollup({
    input: await toJavaScript(entry, folder),
    external: [/^node:/, ...external],
    onwarn: ({ message }) => {
      throw new Error(message);
    },
    plugins: [nodeResolve()],
  });
  await bundle.write({ file, format });
  return file;
}

async function bundleWithVite(entry, folder, ssr) {
  const script = await toJavaScript(entry, folder);
  await viteBuild({
    root: dirname(script),
    configFile: false,
    customLogger: strictLogger(),
    logLevel: "silent",
    ssr,
    build: {
      ssr: script,
      outDir: folder,
      emptyOutDir: true,
      rollupOptions: { output: { entryFileNames: "function.mjs" } },
    },
  });
  return join(folder, "function.mjs");
}

/** A logger of Vite's that fails on a warning. */
function strictLogger() {
  const fail = (message) => {
    throw new Error(message);
  };
  const ignore = () => undefined;
  return {
    info: ignore,
    warn: fail,
    warnOnce: fail,
    error: ignore,
    clearScreen: ignore,
    hasErrorLogged: () => false,
    hasWarned: false,
  };
}

/** The entry in JavaScript, beside it, once for each bundle: those bundlers do not compile TypeScript. */
async function toJavaScript(entry, folder) {
  const script = entry.replace(/\.ts$/, `-${basename(dirname(folder))}.mjs`);
  await build({ entryPoints: [entry], outfile: script, format: "esm", logLevel: "silent" });
  return script;
}

/** Bundles `entry`, a file of `project`, into a folder of its own; resolves with the path of the bundle. */
export async function deploy({ make, packages, addon }, { project, entry, folder }) {
  mkdirSync(folder, { recursive: true });
  const bundle = await make(join(project, entry), join(folder, "dist"));
  const modules = join(project, "node_modules");
  if (packages) cpSync(modules, join(folder, "node_modules"), { recursive: true });
  if (addon) copyAddon(modules, dirname(bundle));
  return bundle;
}

function copyAddon(modules, folder) {
  for (const name of readdirSync(modules).filter((name) => name.startsWith("managed-identity-native-"))) {
    const file = readdirSync(join(modules, name)).find((path) => extname(path) === ".node");
    copyFileSync(join(modules, name, file), join(folder, file));
  }
}
