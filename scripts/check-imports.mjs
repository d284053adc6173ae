// Checks that the modules of src/ do not import each other in a circle. A module and its own submodules may: they are one
// unit. `npm run check:imports` prints every circle with the imports that close it; `--graph` prints all imports.
//
// The module tree is read from `mod` declarations, without those for tests. An import counts for the module that defines
// the name: a re-export is followed. This reads `use` declarations and paths such as `crate::http::Request` and does not
// expand macros.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const [folder = fileURLToPath(new URL("../src", import.meta.url))] = process.argv
  .slice(2)
  .filter((argument) => !argument.startsWith("--"));
const showsGraph = process.argv.includes("--graph");

/** Comments, string literals and character literals; a lifetime has no second quotation mark. */
const COMMENT_OR_LITERAL =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|\bb?r(#*)"[\s\S]*?"\1|b?"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^\n]*?|[^\\'\n])'/g;
const TEST_ATTRIBUTE = /#\[cfg\((?:test|all\(test\b[^\]]*)\)\]/g;
const MODULE = /\bmod\s+(\w+)\s*;/g;
const USE = /\buse\s+([^;]+);/g;
const PATH = /(?<![\w:])\w+(?:::\w+)+/g;

/** Modules by their path, such as "http::tls"; "" is the root of the crate. */
const modules = new Map();

function submodule(path, name) {
  return path === "" ? name : `${path}::${name}`;
}

function parentOf(path) {
  return path.includes("::") ? path.slice(0, path.lastIndexOf("::")) : "";
}

/** The end of the item that begins at `start`: its semicolon or its closing brace. */
function endOfItem(text, start) {
  let depth = 0;
  for (let index = start; index < text.length; index += 1) {
    const character = text[index];
    if (character === ";" && depth === 0) return index + 1;
    if ("{([".includes(character)) depth += 1;
    if ("})]".includes(character)) {
      depth -= 1;
      if (character === "}" && depth === 0) return index + 1;
    }
  }
  return text.length;
}

/** The source without comments, literals and test code. */
function productionCode(source) {
  const text = source.replace(COMMENT_OR_LITERAL, " ");
  let code = "";
  let position = 0;
  for (const match of text.matchAll(TEST_ATTRIBUTE)) {
    if (match.index < position) continue;
    code += text.slice(position, match.index);
    position = endOfItem(text, match.index + match[0].length);
  }
  return code + text.slice(position);
}

function readModule(path, file) {
  const code = productionCode(readFileSync(file, "utf8"));
  const module = { path, file, code, names: new Map(), globs: [], children: new Set() };
  modules.set(path, module);
  const isRoot = ["lib.rs", "mod.rs"].some((name) => file.endsWith(`/${name}`) || file.endsWith(`\\${name}`));
  const below = isRoot ? dirname(file) : file.slice(0, -".rs".length);
  for (const [, name] of code.matchAll(MODULE)) {
    const candidates = [join(below, `${name}.rs`), join(below, name, "mod.rs")];
    const found = candidates.find((candidate) => existsSync(candidate));
    if (found === undefined) throw new Error(`${file}: no file for \`mod ${name}\``);
    module.children.add(name);
    readModule(submodule(path, name), found);
  }
}

/** The parts of a use tree's braces, split at commas of the first level. */
function splitTree(tree) {
  const parts = [];
  let depth = 0;
  let part = "";
  for (const character of tree) {
    if (character === "{") depth += 1;
    if (character === "}") depth -= 1;
    if (character === "," && depth === 0) {
      parts.push(part);
      part = "";
    } else {
      part += character;
    }
  }
  return [...parts, part].map((text) => text.trim()).filter((text) => text !== "");
}

/** Every path that a use tree names: its segments, and the local name. */
function expandTree(tree, prefix = []) {
  return splitTree(tree).flatMap((part) => {
    const braces = part.match(/^(?:([\w:]*?)::)?\{([\s\S]*)\}$/);
    if (braces !== null) {
      return expandTree(braces[2], [...prefix, ...(braces[1] ?? "").split("::").filter(Boolean)]);
    }
    const [path, alias] = part.split(/\s+as\s+/);
    const segments = [...prefix, ...path.split("::").filter(Boolean)];
    if (segments.at(-1) === "self") segments.pop();
    return [{ segments, name: alias ?? segments.at(-1) }];
  });
}

/** Where a path leads, seen from a module: the defining module, or undefined for other crates and for prelude names. */
function resolve(from, segments, seen = new Set()) {
  let [first, ...rest] = segments;
  let path;
  if (first === "crate") path = "";
  else if (first === "self") path = from;
  else if (first === "super") {
    path = parentOf(from);
    while (rest[0] === "super") {
      path = parentOf(path);
      rest = rest.slice(1);
    }
  } else {
    const target = resolveName(from, first, seen);
    return target === undefined ? undefined : follow(target, rest, seen);
  }
  return follow({ module: path, isModule: true }, rest, seen);
}

function follow(start, segments, seen) {
  let target = start;
  for (const segment of segments) {
    if (!target.isModule) return target;
    const next = resolveName(target.module, segment, seen);
    if (next === undefined) return { module: target.module, isModule: false };
    target = next;
  }
  return target;
}

/** A name in a module: a submodule, or something that a `use` brought in; undefined if it is neither. */
function resolveName(path, name, seen) {
  const module = modules.get(path);
  if (module.children.has(name)) return { module: submodule(path, name), isModule: true };
  const key = `${path} ${name}`;
  if (seen.has(key)) return undefined;
  const visited = new Set(seen).add(key);
  const segments = module.names.get(name);
  if (segments !== undefined) return resolve(path, segments, visited);
  for (const glob of module.globs) {
    const target = resolve(path, glob, visited);
    if (target?.isModule && defines(target.module, name)) return { module: target.module, isModule: false };
  }
  return undefined;
}

function defines(path, name) {
  const { code, names } = modules.get(path);
  const definition = `\\b(?:struct|enum|trait|type|fn|const|static|union|macro_rules!)\\s+${name}\\b`;
  return names.has(name) || new RegExp(definition).test(code);
}

/** The imports of each module: the imported module, and the paths that name it. */
function importGraph() {
  for (const module of modules.values()) {
    for (const [, tree] of module.code.matchAll(USE)) {
      for (const { segments, name } of expandTree(tree)) {
        if (name === "*") module.globs.push(segments.slice(0, -1));
        else if (segments.length > 1 || segments[0] !== name) module.names.set(name, segments);
      }
    }
  }
  const graph = new Map();
  for (const { path, code } of modules.values()) {
    const imports = new Map();
    graph.set(path, imports);
    const trees = [...code.matchAll(USE)].flatMap(([, tree]) => expandTree(tree));
    const paths = [...code.replace(USE, " ").matchAll(PATH)].map(([text]) => ({
      segments: text.split("::"),
    }));
    for (const { segments, name } of [...trees, ...paths]) {
      const target = resolve(path, name === "*" ? segments.slice(0, -1) : segments);
      // A module that is imported as a namespace: the paths that begin with it count.
      if (target === undefined || (target.isModule && name !== "*")) continue;
      if (target.module === path || target.module === "") continue;
      if (!imports.has(target.module)) imports.set(target.module, new Set());
      imports.get(target.module).add(segments.join("::"));
    }
  }
  return graph;
}

/** Tarjan's algorithm: the strongly connected components of more than one module. */
function circles(graph, counts) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  function visit(node) {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    for (const next of graph.get(node).keys()) {
      if (!counts(node, next)) continue;
      if (!index.has(next)) {
        visit(next);
        low.set(node, Math.min(low.get(node), low.get(next)));
      } else if (stack.includes(next)) {
        low.set(node, Math.min(low.get(node), index.get(next)));
      }
    }
    if (low.get(node) === index.get(node)) {
      const component = stack.splice(stack.indexOf(node));
      if (component.length > 1) found.push(component.sort());
    }
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}

function isWithin(path, ancestor) {
  return path === ancestor || path.startsWith(`${ancestor}::`);
}

function report(component, graph, counts) {
  console.error(`\nThese ${component.length} modules import each other:`);
  for (const path of component) {
    for (const [target, names] of graph.get(path)) {
      if (!component.includes(target) || !counts(path, target)) continue;
      const file = relative(process.cwd(), modules.get(path).file);
      console.error(`  ${file} -> ${target}  (${[...names].sort().join(", ")})`);
    }
  }
}

readModule("", join(folder, "lib.rs"));
const graph = importGraph();
if (showsGraph) {
  for (const [path, imports] of graph)
    console.log(`${path || "lib"}: ${[...imports.keys()].sort().join(", ")}`);
}

const always = () => true;
const isUnrelated = (one, other) => !isWithin(one, other) && !isWithin(other, one);
const isFamily = (component) => component.some((path) => component.every((other) => isWithin(other, path)));
// Circles that leave a module and its submodules, and then those between the members of such a family, which the
// imports between a module and its submodules would hide.
const leaving = circles(graph, always).filter((component) => !isFamily(component));
const inside = circles(graph, isUnrelated).filter(
  (component) => !leaving.some((circle) => component.every((path) => circle.includes(path))),
);
const found = [
  ...leaving.map((component) => [component, always]),
  ...inside.map((component) => [component, isUnrelated]),
];
for (const [component, counts] of found) report(component, graph, counts);
if (found.length > 0) {
  console.error(`\nCircles of imports: ${found.length}, in ${relative(process.cwd(), folder) || folder}.`);
  process.exitCode = 1;
} else {
  console.log(`${graph.size} modules, no circle of imports.`);
}
