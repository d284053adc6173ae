// Names the repository in all nine manifests, or checks that they name it. npm turns the relative links of README into
// links to that repository, and compares it with the provenance of a release.
//
//   node scripts/set-repository.mjs owner/name            writes it
//   node scripts/set-repository.mjs --check [owner/name]  fails if a manifest has the placeholder, or another repository
//
// The owner is decided in one place, `repository.url` of the package.json at the root: the other fields and manifests
// follow from it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** Stands for the owner until there is one. A GitHub user or organization cannot have an underscore in its name. */
export const PLACEHOLDER = "OWNER_PLACEHOLDER";

const REPOSITORY_URL = /^git\+https:\/\/github\.com\/([\w.-]+\/[\w.-]+)\.git$/;
const root = new URL("../", import.meta.url);

/** The folders of the package and of its platform packages, relative to the root. */
export const folders = ["", ...readdirSync(new URL("npm/", root)).map((name) => `npm/${name}`)];

/** The fields of a manifest that name `repository`, an owner and a name with a slash between them. */
export function repositoryFields(repository, folder) {
  const page = `https://github.com/${repository}`;
  return {
    homepage: `${page}#readme`,
    bugs: { url: `${page}/issues` },
    repository: {
      type: "git",
      url: `git+${page}.git`,
      ...(folder === "" ? {} : { directory: folder }),
    },
  };
}

/** Returns the faults of the manifests as sentences: none if all name `expected`, or any one repository if it is absent. */
export function repositoryFaults(expected) {
  const { url } = readManifest("").repository;
  const [, named] = REPOSITORY_URL.exec(url) ?? [];
  if (named === undefined)
    return [`package.json: repository.url (${url}) is not the URL of a GitHub repository.`];
  if (named.startsWith(`${PLACEHOLDER}/`)) {
    return ["The manifests still have the placeholder: run node scripts/set-repository.mjs <owner>/<name>."];
  }
  const faults = folders
    .filter((folder) => !hasFields(readManifest(folder), repositoryFields(named, folder)))
    .map((folder) => `${manifestPath(folder)} does not name ${named} in homepage, bugs and repository.`);
  if (expected !== undefined && expected !== named) {
    faults.unshift(`The manifests name ${named}, and this is ${expected}.`);
  }
  return faults;
}

function writeRepository(repository) {
  for (const folder of folders) {
    const fields = repositoryFields(repository, folder);
    const { homepage, bugs, repository: _, ...manifest } = readManifest(folder);
    const entries = Object.entries(manifest).flatMap((entry) =>
      entry[0] === "license" ? [entry, ...Object.entries(fields)] : [entry],
    );
    const text = JSON.stringify(Object.fromEntries(entries), undefined, 2);
    writeFileSync(new URL(manifestPath(folder), root), `${text}\n`);
  }
}

function hasFields(manifest, fields) {
  return Object.entries(fields).every(
    ([name, value]) => JSON.stringify(manifest[name]) === JSON.stringify(value),
  );
}

function manifestPath(folder) {
  return folder === "" ? "package.json" : `${folder}/package.json`;
}

function readManifest(folder) {
  return JSON.parse(readFileSync(new URL(manifestPath(folder), root), "utf8"));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [first, second] = process.argv.slice(2);
  if (first === "--check") {
    const faults = repositoryFaults(second);
    for (const fault of faults) console.error(`set-repository: ${fault}`);
    if (faults.length > 0) process.exitCode = 1;
  } else if (/^[\w.-]+\/[\w.-]+$/.test(first ?? "")) {
    writeRepository(first);
  } else {
    console.error("Give the repository as owner/name, or --check.");
    process.exitCode = 2;
  }
}
