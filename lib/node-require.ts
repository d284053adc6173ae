/*
 * Node.js's own `require`, for the add-on and for modules of Node.js that would slow down a cold start: they are loaded
 * on first use. scripts/build-js.mjs replaces this module by node-require.bundler.ts in the entry point for bundlers.
 */

export const nodeRequire: NodeJS.Require = require;
