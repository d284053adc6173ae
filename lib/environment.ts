/*
 * The environment variables that native code uses, read here and handed down: a snapshot for as long as they do not change.
 */

import { binding, type Environment, type NodeRoots } from "./native-binding.js";
import { createNodeRoots } from "./node-roots.js";
import { EMPTY_OBJECT, hasOwn } from "./safe-objects.js";

/** The variables at one time, and native code's object for them. */
export type EnvironmentSnapshot = {
  readonly values: readonly (string | undefined)[];
  readonly native: Environment;
};

/** The names of the environment variables that native code uses, in its order. */
let names: readonly string[] | undefined;
let lastSnapshot: EnvironmentSnapshot | undefined;
/** The native reader of this thread's root certificates. */
let nodeRoots: NodeRoots | undefined;

function variableNames(): readonly string[] {
  names ??= binding.environmentVariables();
  return names;
}

/** The number of environment variables that native code uses. */
export function countVariables(): number {
  return variableNames().length;
}

/** Returns a snapshot of the environment: the same object until a variable changes. */
export function snapshotEnvironment(): EnvironmentSnapshot {
  const allNames = variableNames();
  if (lastSnapshot === undefined || !isCurrent(lastSnapshot, allNames.length)) {
    const { env } = process;
    const { length } = allNames;
    const values = Array.from({ length }, (_, index) => variable(env, allNames[index])?.toString());
    const native = new binding.Environment(values);
    if (native.canNeedRoots()) {
      nodeRoots ??= createNodeRoots();
      native.setNodeRoots(nodeRoots);
    }
    lastSnapshot = { values, native };
  }
  return lastSnapshot;
}

/** Returns an environment variable; process.env inherits from Object.prototype, too. */
function variable(env: NodeJS.ProcessEnv, name: string | undefined): string | undefined {
  if (name === undefined || (name in EMPTY_OBJECT && !hasOwn(env, name))) return undefined;
  return env[name];
}

/** Whether the first `count` variables of a snapshot are unchanged. */
export function isCurrent({ values }: EnvironmentSnapshot, count: number): boolean {
  const allNames = variableNames();
  const { env } = process; // A getter, so it is read once.
  for (let index = 0; index < count; index += 1) {
    if (variable(env, allNames[index]) !== values[index]) return false;
  }
  return true;
}
