// Bundles the JavaScript of the package into dist/: one readable file for each entry point, so that nothing is loaded
// from disk after it, and a cold start opens one file. Only the add-on and the modules of Node.js stay outside.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
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
];

const common = {
  absWorkingDir: root,
  bundle: true,
  charset: "utf8",
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

/** Leaves imports of other entry points to Node.js, so that every class of the package exists once. */
const otherEntries = {
  name: "other-entries",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ kind, path, resolveDir }) => {
      if (kind === "entry-point") return undefined;
      const name = entryBySource.get(join(resolveDir, path).replace(/\.[jt]s$/, ""));
      return name === undefined ? undefined : { path: `./${name}.js`, external: true };
    });
    onResolve({ filter: /^managed-identity-native(\/|$)/ }, ({ path }) => ({
      path: `./${entryByPackageName.get(path)}.js`,
      external: true,
    }));
  },
};

function sourceFile(source) {
  return existsSync(join(root, `${source}.ts`)) ? `${source}.ts` : `${source}.js`;
}

/** An entry point in CommonJS. Its exports become plain properties, which tests can replace, without `__esModule`. */
function buildCommonJs({ name, source }) {
  const entry = sourceFile(source);
  return build({
    ...common,
    define: { ...define, "import.meta.url": "undefined" },
    entryPoints: { [name]: entry },
    footer: entry.endsWith(".ts") ? { js: "module.exports = { ...module.exports };" } : {},
    format: "cjs",
    plugins: [otherEntries],
  });
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
    format: "esm",
    outExtension: { ".js": ".mjs" },
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
const { metafile } = results.at(-1);
const [{ exports }] = Object.values(metafile.outputs);
const files = new Map(
  results.flatMap(({ outputFiles }) => outputFiles.map(({ path, text }) => [basename(path), text])),
);
files.set("index.bundler.mjs", files.get("stdin.mjs"));
files.delete("stdin.mjs");
files.set("index.mjs", importEntry(exports.filter((name) => name !== "default").sort()));

// Written one by one and never removed first, because tests of another process may be running.
mkdirSync(dist, { recursive: true });
for (const [name, text] of files) writeFileSync(join(dist, name), text);
for (const name of readdirSync(dist)) if (!files.has(name)) rmSync(join(dist, name), { recursive: true });
