// Bundles the JavaScript of the package into dist/: one readable file for each entry point, so that nothing is loaded
// from disk after it, and a cold start opens one file. Only the add-on and the modules of Node.js stay outside.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Every entry point: its file in dist/ and its source, both without extension. */
const ENTRIES = [
  { name: "index", source: "lib/index" },
  { name: "emulator", source: "emulator/index" },
  { name: "cli", source: "cli/main" },
  { name: "testing", source: "testing/index" },
  { name: "opentelemetry", source: "opentelemetry/index" },
];

const common = {
  absWorkingDir: root,
  bundle: true,
  charset: "utf8",
  external: ["managed-identity-native-*"],
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
  outdir: "dist",
  platform: "node",
  target: "node20",
  write: false,
};
const define = { PACKAGE_VERSION: JSON.stringify(version) };

const entryBySource = new Map(ENTRIES.map(({ name, source }) => [join(root, source), name]));
/** By the name with which the command line imports it, so that it is checked against the public types. */
const entryByPackageName = new Map([
  ["managed-identity-native", "index"],
  ["managed-identity-native/emulator", "emulator"],
]);

/** Leaves imports of other entry points than this one to Node.js, so that every class of the package exists once. */
function otherEntriesThan(own) {
  return {
    name: "other-entries",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const name = entryBySource.get(join(resolveDir, path).replace(/\.[jt]s$/, ""));
        return name === undefined || name === own ? undefined : { path: `./${name}.js`, external: true };
      });
      onResolve({ filter: /^managed-identity-native(\/|$)/ }, ({ path }) => ({
        path: `./${entryByPackageName.get(path)}.js`,
        external: true,
      }));
    },
  };
}

/** In a bundle, `require` must be one that the bundler does not follow. */
const requireForBundlers = {
  name: "require-for-bundlers",
  setup({ onResolve }) {
    onResolve({ filter: /\/node-require\.js$/ }, () => ({
      path: join(root, "lib", "node-require.bundler.ts"),
    }));
  },
};

function sourceFile(source) {
  return existsSync(join(root, `${source}.ts`)) ? `${source}.ts` : `${source}.js`;
}

/** The names that a module exports; esbuild reports a default export for a program, which exports nothing. */
async function exportsOf(name, entry) {
  const settings = {
    ...common,
    define,
    entryPoints: [entry],
    format: "esm",
    plugins: [otherEntriesThan(name)],
  };
  const { metafile } = await build(settings);
  const [{ exports }] = Object.values(metafile.outputs);
  return exports.filter((exported) => exported !== "default").sort();
}

/**
 * An entry point in CommonJS. Its exports are plain properties, without `__esModule`: they are defined faster than the
 * getters that esbuild makes of them, and tests can replace them.
 */
async function buildCommonJs({ name, source }) {
  const entry = sourceFile(source);
  const names = entry.endsWith(".ts") ? await exportsOf(name, entry) : [];
  const settings = { ...common, define, format: "cjs", plugins: [otherEntriesThan(name)] };
  if (names.length === 0) return build({ ...settings, entryPoints: { [name]: entry } });
  const list = `{ ${names.join(", ")} }`;
  const stdin = {
    contents: `import ${list} from "./${basename(source)}.js";\nmodule.exports = ${list};`,
    loader: "ts",
    resolveDir: dirname(join(root, entry)),
    sourcefile: `${name}.commonjs.ts`,
  };
  // By this line, Node.js finds the names of the exports if a program imports the file by its path.
  const footer = { js: `0 && (module.exports = ${list});` };
  return build({ ...settings, banner: { js: '"use strict";' }, entryNames: name, footer, stdin });
}

/**
 * The main entry point for bundlers, which do not follow the `createRequire` of dist/index.mjs: an ECMAScript module with
 * all of the code. package.json leads to it by the condition "module", for `require` as well, so it is not loaded beside
 * dist/index.js.
 */
function buildForBundlers() {
  const contents = `
    import * as native from "./index.js";
    export * from "./index.js";
    export default { ...native };`;
  return build({
    ...common,
    define,
    entryNames: "index.bundler",
    format: "esm",
    outExtension: { ".js": ".mjs" },
    plugins: [requireForBundlers],
    stdin: { contents, loader: "ts", resolveDir: join(root, "lib"), sourcefile: "index.bundler.ts" },
  });
}

/**
 * The main entry point for `import`: the instances of dist/index.js. If `import` led to that file itself, Node.js would
 * parse it a second time to find the names of its exports, which takes as long as everything else up to the first token.
 */
function importEntry(names) {
  return `import { createRequire } from "node:module";

const native = createRequire(import.meta.url)("./index.js");

export const {
${names.map((name) => `  ${name},\n`).join("")}} = native;
export default native;
`;
}

const results = await Promise.all([...ENTRIES.map(buildCommonJs), buildForBundlers()]);
const files = new Map(
  results.flatMap(({ outputFiles }) => outputFiles.map(({ path, text }) => [basename(path), text])),
);
files.set("index.mjs", importEntry(await exportsOf("index", "lib/index.ts")));

// Written one by one and never removed first, because tests of another process may be running.
mkdirSync(dist, { recursive: true });
for (const [name, text] of files) writeFileSync(join(dist, name), text);
for (const name of readdirSync(dist)) if (!files.has(name)) rmSync(join(dist, name), { recursive: true });
