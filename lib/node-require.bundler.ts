/*
 * node-require.ts for programs that are bundled: a `require` that a bundler does not follow, so that the add-on stays
 * outside the bundle. It starts from the bundle's own file, which each bundler and format names in another way.
 */

import { existsSync } from "node:fs";
// webpack follows a `createRequire` that is imported by its name.
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";

/** In CommonJS. webpack says even of an ECMAScript module that `typeof __filename` is "string". */
function commonJsFile(): string | undefined {
  try {
    return __filename;
  } catch {
    return undefined;
  }
}

/** The file that V8 names, which is not the bundle's if it evaluates its modules from strings. */
function runningFile(): string | undefined {
  const { prepareStackTrace } = Error;
  try {
    Error.prepareStackTrace = (_, [frame]) => frame?.getFileName();
    const file = new Error("its stack has the file").stack;
    return file?.startsWith("file:") ? fileURLToPath(file) : file;
  } catch {
    return undefined;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
  }
}

/** webpack replaces it by the path of this source at build time. */
function moduleFile(): string | undefined {
  const { url } = import.meta as { url?: string };
  return url?.startsWith("file:") ? fileURLToPath(url) : undefined;
}

/** Returns the bundle's file; where it cannot be told, a name in the process's working directory. */
function bundleFile(): string {
  for (const locate of [commonJsFile, runningFile, moduleFile]) {
    const file = locate();
    if (file !== undefined && existsSync(file)) return file;
  }
  return `${process.cwd()}/`;
}

export const nodeRequire: NodeJS.Require = nodeModule.createRequire(bundleFile());

/** Loads a platform package. */
export function requirePackage(target: string): unknown {
  return nodeRequire(`managed-identity-native-${target}`);
}
