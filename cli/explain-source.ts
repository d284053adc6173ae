// Explains why the package detects a source. The detection rules are not repeated here. Instead, the package is asked
// which source it would detect if a variable had another value. process.env is changed for that call, and restored
// before any other code runs.

import type { ManagedIdentityApplication } from "managed-identity-native";
import { binding } from "../lib/native-binding.js";

/** A source that one more variable would select. */
export interface NearMiss {
  /** The variable that is not set. */
  readonly missing: string;
  readonly source: string;
  /** The variables that are set and belong to the same source. */
  readonly present: readonly string[];
}

/** A value for a variable that is not set, to find out which source it would select. */
const PLACEHOLDER = "placeholder";

/** Returns the variables without any one of which the source would be another. */
export function decisiveVariables(application: ManagedIdentityApplication): readonly string[] {
  const source = application.getManagedIdentitySource();
  return binding
    .environmentVariables()
    .filter(
      (name) =>
        process.env[name] !== undefined &&
        withVariable(name, undefined, () => application.getManagedIdentitySource()) !== source,
    );
}

/** Returns the sources that one more variable would select together with variables that are set now. */
export function nearMissSources(application: ManagedIdentityApplication): readonly NearMiss[] {
  const source = application.getManagedIdentitySource();
  return binding
    .environmentVariables()
    .filter((name) => !process.env[name])
    .flatMap((missing) =>
      withVariable(missing, PLACEHOLDER, () => {
        const other = application.getManagedIdentitySource();
        const present = decisiveVariables(application).filter((name) => name !== missing);
        return other === source || present.length === 0 ? [] : [{ missing, source: other, present }];
      }),
    );
}

/**
 * Returns the variables that are set now and that would select another source than `sources` although the variables of
 * `env` are set and those of `unset` are not. Returns undefined if something other than a variable selects another source.
 */
export function conflictingVariables(
  application: ManagedIdentityApplication,
  env: Readonly<Record<string, string>>,
  sources: readonly string[],
  unset: readonly string[],
): readonly string[] | undefined {
  const found: string[] = [];
  const findConflicts = (): readonly string[] | undefined => {
    if (sources.includes(application.getManagedIdentitySource())) return found;
    const [conflict] = decisiveVariables(application).filter((name) => !Object.hasOwn(env, name));
    if (conflict === undefined) return undefined;
    found.push(conflict);
    return withVariable(conflict, undefined, findConflicts);
  };
  const changes: readonly (readonly [name: string, value: string | undefined])[] = [
    ...Object.entries(env),
    ...unset.map((name) => [name, undefined] as const),
  ];
  return changes.reduceRight<() => readonly string[] | undefined>(
    (inner, [name, value]) =>
      () =>
        withVariable(name, value, inner),
    findConflicts,
  )();
}

/** Calls `inspect` while a variable has another value, or none. */
function withVariable<Result>(name: string, value: string | undefined, inspect: () => Result): Result {
  const before = process.env[name];
  setVariable(name, value);
  try {
    return inspect();
  } finally {
    setVariable(name, before);
  }
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
