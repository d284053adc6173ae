// Runs the specs under the supported versions of Node.js besides the one that runs this script, with the add-on that was
// built last. `node scripts/run-specs-under-nodes.mjs [NAME…] [-- ARGUMENTS OF AVA]`; a name is one of node-20, node-22, …

import { spawnSync } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { installNodes, nodes } from "../__test__/packaging/nodes.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const separator = process.argv.indexOf("--");
const end = separator === -1 ? process.argv.length : separator;
const names = process.argv.slice(2, end);
const avaArguments = process.argv.slice(end + 1);
const majorOf = (version) => version.slice(0, version.indexOf("."));

const wanted = nodes.filter(({ name, version }) =>
  names.length > 0 ? names.includes(name) : majorOf(version) !== majorOf(process.version),
);
await installNodes();
const failed = wanted.filter(({ name, version, executable }) => {
  console.log(`\n== ${name}: ${version}`);
  const { status } = spawnSync(executable, ["scripts/run-specs.mjs", ...avaArguments], {
    cwd: root,
    // The specs start some programs by the name "node".
    env: { ...process.env, PATH: `${dirname(executable)}${delimiter}${process.env.PATH}` },
    stdio: "inherit",
  });
  return status !== 0;
});
for (const { name } of failed) console.error(`FAILED: the specs under ${name}`);
if (wanted.length === 0)
  console.error(`No version is selected. Choose from ${nodes.map(({ name }) => name).join(", ")}.`);
process.exitCode = failed.length === 0 && wanted.length > 0 ? 0 : 1;
