// The files that a package must contain: those that its manifest refers to, and those that they refer to in turn. The
// field `files` is not read, so that the test finds both a file that it forgets and one that is not needed.

import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";

/** Files for people or for npm, to which no other file refers. */
const DOCUMENT = /^(package\.json|LICENSE|THIRD-PARTY-NOTICES\.txt|[A-Z]+\.md|docs\/.+\.md)$/;
const CODE = /\.[cm]?js$/;
const TYPES = /\.d\.([cm]?)ts$/;
/** A reference to a file, as `require`, `import`, `export … from` and `new URL` name it. */
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

/** Returns all files that the entries of a package refer to, as paths in `source`, including missing ones. */
export function findNeededFiles({ source, manifest }) {
  const exists = (path) => existsSync(posix.join(source, path));
  const found = new Set();
  const visit = (path) => {
    if (found.has(path)) return;
    found.add(path);
    if (!exists(path) || !(CODE.test(path) || TYPES.test(path))) return;
    for (const [, reference] of readFileSync(posix.join(source, path), "utf8").matchAll(REFERENCE)) {
      visit(resolveReference(posix.join(posix.dirname(path), reference), path, exists));
    }
    const types = path.replace(/\.([cm]?)js$/, ".d.$1ts");
    if (exists(types)) visit(types);
  };
  entries(manifest).forEach(visit);
  return [...found].sort();
}

/** The file that a reference means; in types, `./a.js` means `./a.d.ts`. */
function resolveReference(path, from, exists) {
  const typed = TYPES.test(from) ? [path.replace(/\.([cm]?)js$/, ".d.$1ts"), `${path}.d.ts`] : [];
  const candidates = [...typed, path, `${path}.js`, `${path}/index.js`];
  return candidates.find((candidate) => /\.\w+$/.test(candidate) && exists(candidate)) ?? path;
}

/** Returns the packed files that are neither needed nor documents, and the needed ones that are not packed. */
export function faults(packed) {
  const wanted = findNeededFiles(packed);
  return {
    surplus: packed.files.filter((path) => !DOCUMENT.test(path) && !wanted.includes(path)),
    missing: wanted.filter((path) => !packed.files.includes(path)),
  };
}
