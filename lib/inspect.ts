/*
 * The text that console.log and util.inspect print for an application: its identity and its source, never a token.
 */

import type { InspectOptions, inspect } from "node:util";
import type { JsIdentity } from "./native-binding.js";

const CLASS_NAME = "ManagedIdentityApplication";

/** The properties of an application that are printed. */
type Description = { readonly identity: JsIdentity | null; readonly source: string };

/** Returns the text. It never throws, because logging must not fail a program. */
export function inspectApplication(
  application: object,
  describe: () => Description,
  depth: unknown,
  options: unknown,
  inspectValue: unknown,
): string {
  try {
    const name = className(application);
    if (typeof depth === "number" && depth < 0) return `[${name}]`;
    const { identity, source } = describe();
    const parts = { identity: describeIdentity(identity), source };
    const text =
      typeof inspectValue === "function"
        ? (inspectValue as typeof inspect)(parts, options as InspectOptions)
        : JSON.stringify(parts);
    return `${name} ${text}`;
  } catch {
    return `${CLASS_NAME} {}`;
  }
}

function className(application: object): string {
  const name: unknown = application.constructor?.name;
  return typeof name === "string" && name !== "" ? name : CLASS_NAME;
}

/** Hides an id without the form of one: it may be a secret in the wrong variable. */
function describeIdentity(identity: JsIdentity | null): string | { [option: string]: string } {
  if (identity === null) return "system-assigned";
  return { [identity.option]: identity.id ?? "<not in the form of an id>" };
}
