// The environment variables that lead clients to an emulator.

import { ManagedIdentityApplication } from "managed-identity-native";
import type { EmulatorSource } from "managed-identity-native/emulator";
import { detectedSourceName, type EmulatorEndpoint, sourceName } from "./emulator-runner.js";
import { PROGRAM } from "./exit-codes.js";
import { conflictingVariables } from "./explain-source.js";

const ADDRESS = "127.0.0.1";

export interface ClientVariables {
  readonly set: Readonly<Record<string, string>>;
  /** The names of variables that would select another source. */
  readonly unset: readonly string[];
}

/** Returns the changes of this process's environment that lead clients to the endpoint. */
export function clientVariables({ env, source }: EmulatorEndpoint): ClientVariables {
  // An empty value stands for a variable to unset. Those are found below, in this process's environment.
  const own = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const set = { ...own, ...bypassProxy(source, process.env) };
  const unset = conflictingVariables(new ManagedIdentityApplication(), set, detectedSourceName(source));
  if (unset === undefined) {
    process.stderr.write(
      `${PROGRAM}: this machine itself is a source that takes precedence over ${sourceName(source)}.\n`,
    );
  }
  return { set, unset: unset ?? [] };
}

/** Exempts the emulator from the proxy. Clients use a proxy for workload identity, whose real endpoint is on the internet. */
function bypassProxy(source: EmulatorSource, env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  if (source !== "workload-identity" || !(env.HTTPS_PROXY || env.https_proxy)) return {};
  const name = env.no_proxy ? "no_proxy" : "NO_PROXY";
  const exempt = env[name];
  return { [name]: exempt ? `${exempt},${ADDRESS}` : ADDRESS };
}
