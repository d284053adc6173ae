// The notices about linked crates, which the release workflow writes into the platform packages with cargo-about: they
// cover the platforms and licences that cargo-deny allows.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { readManifest, root } from "./packages.mjs";

/** The strings of a list in a TOML file. */
function readList(file, name) {
  const text = readFileSync(join(root, file), "utf8");
  const [, items] = text.match(new RegExp(`^${name} = \\[([^\\]]*)\\]`, "m"));
  return [...items.matchAll(/"([^"]+)"/g)].map(([, item]) => item).sort();
}

test("the notices cover the crates of every platform", (t) => {
  const targets = [...readManifest(root).napi.targets].sort();
  t.deepEqual(readList("about.toml", "targets"), targets);
  t.deepEqual(readList("deny.toml", "targets"), targets);
});

test("the notices accept every licence that cargo-deny allows", (t) => {
  t.deepEqual(readList("about.toml", "accepted"), readList("deny.toml", "allow"));
});
