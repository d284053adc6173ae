// The versions of Node.js that an installed package is run under. On Linux x64 with glibc they are the packages that
// nodes/package-lock.json pins, which are downloaded once into target/; elsewhere only the Node.js that runs the tests is used.

import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isGlibc, root } from "./packages.mjs";

const run = promisify(execFile);
const pinned = fileURLToPath(new URL("nodes/", import.meta.url));
const store = join(root, "target", "nodes");
const FILES = ["package.json", "package-lock.json"];

const { dependencies } = JSON.parse(readFileSync(join(pinned, "package.json"), "utf8"));

/** A list in JSON in place of those: scripts/platforms has builds for musl. */
const others = process.env.TEST_NODES;

/** By name: the executable, and the version that it must say it has. */
export const nodes = others !== undefined ? JSON.parse(others) : findNodes();

function findNodes() {
  return process.platform === "linux" && process.arch === "x64" && isGlibc()
    ? Object.entries(dependencies).map(([name, wanted]) => ({
        name,
        version: `v${wanted.slice(wanted.lastIndexOf("@") + 1)}`,
        executable: join(store, "node_modules", name, "bin", "node"),
      }))
    : [{ name: "this Node.js", version: process.version, executable: process.execPath }];
}

/** Downloads the versions that are missing. */
export async function installNodes() {
  if (nodes.every(({ executable }) => existsSync(executable)) && isCurrent()) return;
  mkdirSync(store, { recursive: true });
  for (const file of FILES) copyFileSync(join(pinned, file), join(store, file));
  await run("npm", ["ci", "--ignore-scripts", "--no-bin-links", "--no-audit", "--no-fund"], { cwd: store });
}

function isCurrent() {
  return (
    others !== undefined || nodes[0].executable === process.execPath || FILES.every((file) => same(file))
  );
}

function same(file) {
  const copy = join(store, file);
  return existsSync(copy) && readFileSync(copy, "utf8") === readFileSync(join(pinned, file), "utf8");
}
