/*
 * node-require.ts for programs that are bundled: a `require` that a bundler does not follow, so that the add-on stays
 * outside the bundle.
 */

import { createRequire } from "node:module";

/** The bundle: a path in CommonJS, else a URL. (A bundler may replace `import.meta.url` by the path of this source.) */
const location: string = typeof __filename === "string" ? __filename : import.meta.url;

export const nodeRequire: NodeJS.Require = createRequire(location);
