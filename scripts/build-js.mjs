// Bundles the JavaScript of the package into dist/: one readable file for each entry point, so that nothing is loaded
// from disk after it, and a cold start opens one file. Only the add-on and the modules of Node.js stay outside.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");

/** Every entry point: the file in dist/, without its extension, and its source, without its extension. */
const ENTRIES = [
  { name: "index", source: "lib/index" },
  { name: "emulator", source: "emulator/index" },
  { name: "cli", source: "cli/main" },
];
/** Entry points that are ECMAScript modules; they load dist/index.js. */
const MODULES = [
  { name: "index", source: "lib/index.node" },
  { name: "index.bundler", source: "lib/index.bundler" },
];

const common = {
  absWorkingDir: root,
  bundle: true,
  charset: "utf8",
  external: ["../binding.js", "../package.json"],
  legalComments: "none",
  logLevel: "warning",
  platform: "node",
  target: "node20",
  write: false,
};

/** An entry point's source without its extension, as a path; for imports of one entry point by another. */
const entryBySource = new Map(ENTRIES.map(({ name, source }) => [join(root, source), name]));

/** Leaves imports of other entry points to Node.js, so that every module of the package exists once. */
const otherEntries = {
  name: "other-entries",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ kind, path, resolveDir }) => {
      if (kind === "entry-point") return undefined;
      const name = entryBySource.get(join(resolveDir, path).replace(/\.[cm]?[jt]s$/, ""));
      return name === undefined ? undefined : { path: `./${name}.js`, external: true };
    });
  },
};

function sourceFile(source) {
  const file = [".ts", ".mts", ".js", ".mjs"].map((extension) => `${source}${extension}`);
  return file.find((path) => existsSync(join(root, path))) ?? `${source}.ts`;
}

const results = await Promise.all([
  ...ENTRIES.map(({ name, source }) =>
    build({
      ...common,
      entryPoints: { [name]: sourceFile(source) },
      format: "cjs",
      outdir: "dist",
      plugins: [otherEntries],
    }),
  ),
  ...MODULES.map(({ name, source }) =>
    build({
      ...common,
      entryPoints: { [name]: sourceFile(source) },
      format: "esm",
      outdir: "dist",
      outExtension: { ".js": ".mjs" },
      plugins: [otherEntries],
    }),
  ),
]);
const files = results.flatMap(({ outputFiles }) => outputFiles);
// Written one by one and never removed first, because tests of another process may be running.
mkdirSync(dist, { recursive: true });
for (const { path, contents } of files) writeFileSync(path, contents);
const built = new Set(files.map(({ path }) => basename(path)));
for (const name of readdirSync(dist)) if (!built.has(name)) rmSync(join(dist, name), { recursive: true });
