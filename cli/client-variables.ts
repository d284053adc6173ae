// The environment variables that lead clients to an emulator.

import { ManagedIdentityApplication } from "managed-identity-native";
import type { EmulatorSource } from "managed-identity-native/emulator";
import { detectedSourceName, type EmulatorEndpoints, sourceName } from "./emulator-runner.js";
import { PROGRAM } from "./exit-codes.js";
import { conflictingVariables } from "./explain-source.js";

export interface ClientVariables {
  readonly set: Readonly<Record<string, string>>;
  /** The names of variables that would select another source. */
  readonly unset: readonly string[];
}

/** Returns the changes of this process's environment that lead clients to the endpoints. */
export function clientVariables({ env, sources, urls }: EmulatorEndpoints): ClientVariables {
  const own = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const set = { ...own, ...bypassProxy(sources, urls, process.env) };
  const empty = Object.keys(env).filter((name) => env[name] === "");
  const names = sources.map(detectedSourceName);
  const conflicts = conflictingVariables(new ManagedIdentityApplication(), set, names, empty);
  if (conflicts === undefined) {
    process.stderr.write(
      `${PROGRAM}: this machine itself is a source that takes precedence over ${sources.map(sourceName).join(", ")}.\n`,
    );
  }
  return { set, unset: [...empty, ...(conflicts ?? [])] };
}

/**
 * Exempts the emulator from the proxy. Clients use a proxy for workload identity, whose real endpoint is on the internet.
 */
function bypassProxy(
  sources: readonly EmulatorSource[],
  urls: readonly string[],
  env: NodeJS.ProcessEnv,
): Readonly<Record<string, string>> {
  const url = urls[sources.indexOf("workload-identity")];
  if (url === undefined || !(env.HTTPS_PROXY || env.https_proxy)) return {};
  const { hostname } = new URL(url);
  const name = env.no_proxy ? "no_proxy" : "NO_PROXY";
  const exempt = env[name];
  return { [name]: exempt ? `${exempt},${hostname}` : hostname };
}
