/*
 * Node.js's own `require`. Bundlers do not follow it, so the modules of Node.js that would slow down a cold start can be
 * loaded on first use, and the add-on stays outside a bundle.
 */

import { createRequire } from "node:module";

/** This file: a path in CommonJS; a URL where a bundler made an ECMAScript module of it. */
const location: string = typeof __filename === "string" ? __filename : import.meta.url;

export const nodeRequire: NodeJS.Require = createRequire(location);
