// Runs the checks that take too long, or need too much, for `scripts/ci`: real browsers, other tools, other versions. A
// workflow runs them each night and for the tag of a release. `node scripts/ci-full.mjs NAME…` runs the named steps only.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Each step with its command and with what it needs beyond the clone after `npm run build`. */
const STEPS = [
  {
    name: "browser",
    needs: "Chromium (Debian: apt-get install chromium)",
    command: ["node", "--test", "__test__/browser/rebinding.test.mjs"],
  },
  {
    name: "next",
    needs: "the npm registry: Next.js has 430 MB",
    command: ["node", "--test", "__test__/packaging/next/bundled.test.mjs"],
  },
  {
    name: "installation",
    needs: "the npm registry: five package managers under several versions of Node.js",
    command: ["npm", "run", "--silent", "check:installation"],
  },
  {
    name: "journey",
    needs: "git, Rust and the npm registry: it builds a clone and installs it with five package managers",
    command: ["node", "--test", "__test__/journey/clone-to-azurite.test.mjs"],
  },
];

const root = fileURLToPath(new URL("..", import.meta.url));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => STEPS.every((step) => step.name !== name));
if (unknown.length > 0) {
  console.error(
    `Unknown step ${unknown.join(", ")}. Choose from ${STEPS.map(({ name }) => name).join(", ")}.`,
  );
  process.exit(2);
}

const failed = STEPS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)).filter(
  ({ name, needs, command: [file, ...args] }) => {
    console.log(`\n== ${name}`);
    const { status, error } = spawnSync(file, args, { cwd: root, stdio: "inherit" });
    if (status === 0) return false;
    console.error(`FAILED: ${name}${error ? `: ${error.message}` : ""}. It needs ${needs}.`);
    return true;
  },
);
process.exitCode = failed.length === 0 ? 0 : 1;
