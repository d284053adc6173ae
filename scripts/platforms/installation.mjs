// What the check of installations by name (scripts/check-installation) needs besides a copy of the repository: the package
// managers, and more versions of Node.js. Both are downloaded here, since root directories have no network.

import { join } from "node:path";
import { installNode } from "./node.mjs";
import { addPackages } from "./package.mjs";
import { run } from "./process.mjs";

/** Returns the variables of the check. PyPI has no build of Node.js 26 for musl. */
export function prepareInstallation(platform, copy) {
  const { name } = platform;
  run(process.execPath, ["scripts/check-installation/main.mjs", "--tools-only"], { cwd: copy });
  // pnpm and Bun are programs with compiled code.
  addPackages(platform, join(copy, "target", "check-installation"));
  // For glibc the check itself has the versions.
  if (!name.endsWith("-musl")) return {};
  const builds = [`${name}-node-20`, `${name}-node-22`, name].map(installNode);
  const nodes = builds.map(({ version, executable }) => ({
    name: `node-${version.split(".")[0].slice(1)}`,
    version,
    executable,
  }));
  return { TEST_NODES: JSON.stringify(nodes) };
}
