// Guards `npm publish`: `napi prepublish` publishes the eight platform packages, even when npm runs with `--dry-run`.
// Therefore it runs only in CI, on the tag of the version in package.json.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { repositoryFaults } from "./set-repository.mjs";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const { CI, GITHUB_REF_NAME, GITHUB_REF_TYPE, GITHUB_REPOSITORY, npm_config_dry_run: dryRun } = process.env;
const onTag = GITHUB_REF_TYPE === "tag" && GITHUB_REF_NAME === `v${version}`;
const faults = repositoryFaults(GITHUB_REPOSITORY);

if (dryRun === "true") {
  console.error("prepublish: dry run, so the platform packages are not published.");
} else if (!(CI && onTag)) {
  console.error(
    `prepublish: not allowed here. Only the release workflow publishes, on the tag v${version}.\n` +
      "To see what would be packed: npm pack --dry-run --ignore-scripts",
  );
  process.exitCode = 1;
} else if (faults.length > 0) {
  for (const fault of faults) console.error(`prepublish: ${fault}`);
  process.exitCode = 1;
} else {
  const { error, status } = spawnSync("napi", ["prepublish", "--tag-style", "npm", "--no-gh-release"], {
    shell: process.platform === "win32",
    stdio: "inherit",
  });
  if (error) {
    throw error;
  }
  process.exitCode = status ?? 1;
}
