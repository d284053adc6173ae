// Runs the checks that take too long, or need too much, for `scripts/ci`: real browsers, other tools, other versions. A
// workflow runs them each night and for the tag of a release. `node scripts/ci-full.mjs NAME…` runs the named steps only.
// Not among them: `npm run platforms`, which needs cross compilers, and the fuzz targets for hours (CONTRIBUTING.md).

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
  {
    name: "nodes",
    needs: "the npm registry: the specs run under the other supported versions of Node.js",
    command: ["node", "scripts/run-specs-under-nodes.mjs"],
  },
  {
    name: "sanitize",
    needs: "Linux on x86-64: the Rust tests run under AddressSanitizer and LeakSanitizer",
    command: ["scripts/sanitize"],
  },
  {
    name: "sanitize-specs",
    needs: "Linux on x86-64 and gcc with libasan: the specs run under AddressSanitizer and LeakSanitizer",
    command: ["scripts/sanitize", "node"],
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

const results = STEPS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)).map(run);
console.log(`\n== results\n${results.map(({ line }) => line).join("\n")}`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;

/** Runs a step. Others run after one that fails, since none depends on another. */
function run({ name, needs, command: [file, ...args] }) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: "inherit" });
  const seconds = Math.round((performance.now() - start) / 1000);
  if (status === 0) return { passed: true, line: `ok     ${name} (${seconds} s)` };
  const reason = error ? `: ${error.message}` : "";
  return { passed: false, line: `FAILED ${name} (${seconds} s)${reason}. It needs ${needs}.` };
}
