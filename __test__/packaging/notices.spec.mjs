// What the release workflow writes into the platform packages, by cargo-about, about the crates that are linked: for the
// same platforms and by the same licences as cargo-deny lets in.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { readManifest, root } from "./packages.mjs";

/** The strings of a list in a TOML file. */
function listed(file, name) {
  const text = readFileSync(join(root, file), "utf8");
  const [, items] = text.match(new RegExp(`^${name} = \\[([^\\]]*)\\]`, "m"));
  return [...items.matchAll(/"([^"]+)"/g)].map(([, item]) => item).sort();
}

test("the notices are of every platform's crates", (t) => {
  const targets = [...readManifest(root).napi.targets].sort();
  t.deepEqual(listed("about.toml", "targets"), targets);
  t.deepEqual(listed("deny.toml", "targets"), targets);
});

test("the notices know every licence that may come in", (t) => {
  t.deepEqual(listed("about.toml", "accepted"), listed("deny.toml", "allow"));
});
