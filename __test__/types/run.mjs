// Compiles every project in the folders beside this file, with nothing written, and fails if one of them does.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
const tsc = join(dirname(manifest), "bin", "tsc");

const projects = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => readdirSync(join(here, name)).map((file) => join(here, name, file)))
  .filter((path) => /tsconfig(\.\w+)?\.json$/.test(path));

let failed = projects.length === 0;
for (const project of projects) {
  const { status } = spawnSync(process.execPath, [tsc, "--project", project], { stdio: "inherit" });
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${relative(here, project)}`);
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
