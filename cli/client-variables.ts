// The environment variables that lead clients to an emulator.

import { ManagedIdentityApplication } from "managed-identity-native";
import { bypassProxy } from "../emulator/client-environment.js";
import { detectedSourceName, type EmulatorEndpoints, sourceName } from "./emulator-runner.js";
import { conflictingVariables } from "./explain-source.js";
import { printMessage } from "./messages.js";

export interface ClientVariables {
  readonly set: Readonly<Record<string, string>>;
  /** The names of variables that would select another source. */
  readonly unset: readonly string[];
}

/** Returns the changes of this process's environment that lead clients to the endpoints. */
export function clientVariables({ env, sources }: EmulatorEndpoints): ClientVariables {
  const own = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const set = { ...own, ...bypassProxy(own, process.env) };
  const empty = Object.keys(env).filter((name) => env[name] === "");
  const names = sources.map(detectedSourceName);
  const conflicts = conflictingVariables(new ManagedIdentityApplication(), set, names, empty);
  if (conflicts === undefined) {
    const names = sources.map(sourceName).join(", ");
    printMessage(`this machine itself is a source that takes precedence over ${names}.`);
  }
  return { set, unset: [...empty, ...(conflicts ?? [])] };
}
