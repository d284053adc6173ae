// What a package must contain, by rule: whatever its manifest leads to, and whatever that leads to in turn. It does
// not look at `files`, so that a file that `files` forgets, or one that nobody needs, shows.

import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";

/** Read by people or by npm, and led to by nothing. */
const DOCUMENT = /^(package\.json|LICENSE|THIRD-PARTY-NOTICES\.txt|[A-Z]+\.md|docs\/.+\.md)$/;
const CODE = /\.[cm]?js$/;
const TYPES = /\.d\.([cm]?)ts$/;
/** A file beside, as `require`, `import`, `export … from` and `new URL` name it. */
const REFERENCE = /(?:require\(|from|import\(?|new URL\()\s*["'](\.{1,2}\/[^"']+)["']/g;

/** The paths that package.json names: entry points, types, programs. */
export function entries({ main, types, bin, exports }) {
  const named = [main, types, ...leaves(bin), ...leaves(exports)].filter((path) => path !== undefined);
  return [...new Set(named.map((path) => posix.normalize(path)))];
}

/** Every path below a field, whatever its conditions. */
function leaves(field) {
  if (field === undefined || field === null) return [];
  return typeof field === "string" ? [field] : Object.values(field).flatMap(leaves);
}

/** All files that the entries of a package lead to, as they lie in `source`; also those that are not there. */
export function needed({ source, manifest }) {
  const exists = (path) => existsSync(posix.join(source, path));
  const found = new Set();
  const visit = (path) => {
    if (found.has(path)) return;
    found.add(path);
    if (!exists(path) || !(CODE.test(path) || TYPES.test(path))) return;
    for (const [, reference] of readFileSync(posix.join(source, path), "utf8").matchAll(REFERENCE)) {
      visit(resolved(posix.join(posix.dirname(path), reference), path, exists));
    }
    const types = path.replace(/\.([cm]?)js$/, ".d.$1ts");
    if (exists(types)) visit(types);
  };
  entries(manifest).forEach(visit);
  return [...found].sort();
}

/** The file that a reference means; in types, `./a.js` means `./a.d.ts`. */
function resolved(path, from, exists) {
  const typed = TYPES.test(from) ? [path.replace(/\.([cm]?)js$/, ".d.$1ts"), `${path}.d.ts`] : [];
  const candidates = [...typed, path, `${path}.js`, `${path}/index.js`];
  return candidates.find((candidate) => /\.\w+$/.test(candidate) && exists(candidate)) ?? path;
}

/** What is packed without being a document or needed, and what is needed without being packed. */
export function faults(packed) {
  const wanted = needed(packed);
  return {
    surplus: packed.files.filter((path) => !DOCUMENT.test(path) && !wanted.includes(path)),
    missing: wanted.filter((path) => !packed.files.includes(path)),
  };
}
