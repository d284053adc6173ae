// Loads a TypeScript module that is not an export of the package. It may import other such modules and Node.js's, but not
// the package itself.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Resolves with the exports of a module, such as "cli/advice.ts". */
export async function loadInternalModule(path) {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    bundle: true,
    entryPoints: [path],
    format: "esm",
    platform: "node",
    target: "node20",
    write: false,
  });
  const [{ text }] = outputFiles;
  return await import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}
