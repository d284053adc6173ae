// The environment variables that lead clients to an endpoint, and those that would lead them to another source.

import type { EmulatorSource } from "managed-identity-native/emulator";

/** An environment such as process.env. */
export type Environment = Record<string, string | undefined>;

/** The sources in the order in which clients look for them, each with the variables that select it. */
const SELECTING_VARIABLES: readonly (readonly [source: EmulatorSource, names: readonly string[]])[] = [
  ["service-fabric", ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"]],
  ["app-service", ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]],
  ["machine-learning", ["MSI_ENDPOINT", "MSI_SECRET"]],
  ["cloud-shell", ["MSI_ENDPOINT"]],
  ["azure-arc", ["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"]],
  // AZURE_CLIENT_ID and AZURE_TENANT_ID are not here: services read them as settings of their own.
  ["workload-identity", ["AZURE_FEDERATED_TOKEN_FILE"]],
  ["imds", ["AZURE_POD_IDENTITY_AUTHORITY_HOST"]],
];
/** Variables that do not select a source, but change how a client uses the selected one. */
const REFINING_VARIABLES: readonly string[] = ["DEFAULT_IDENTITY_CLIENT_ID", "AZURE_KUBERNETES_TOKEN_PROXY"];

/**
 * Returns an empty value for each variable that is set in `env` and selects a source that clients look for before
 * `source`. `own` are the variables of the endpoint.
 */
export function emptyEarlierVariables(
  source: EmulatorSource,
  own: Readonly<Record<string, string>>,
  env: Environment,
): Readonly<Record<string, string>> {
  const earlier = SELECTING_VARIABLES.slice(
    0,
    SELECTING_VARIABLES.findIndex(([name]) => name === source),
  );
  const names = earlier.flatMap(([, variables]) => variables);
  return Object.fromEntries(
    names.filter((name) => env[name] && !Object.hasOwn(own, name)).map((name) => [name, ""]),
  );
}

/** Sets the variables of an endpoint in `env` and deletes those of every other source. Returns a function that undoes this. */
export function applyVariables(own: Readonly<Record<string, string>>, env: Environment): () => void {
  const others = [...SELECTING_VARIABLES.flatMap(([, names]) => names), ...REFINING_VARIABLES];
  const changes: Environment = Object.fromEntries(others.map((name) => [name, undefined]));
  Object.assign(changes, own, bypassProxy(own, env));
  const before = Object.fromEntries(Object.keys(changes).map((name) => [name, env[name]]));
  assign(env, changes);
  let isApplied = true;
  return () => {
    if (isApplied) assign(env, before);
    isApplied = false;
  };
}

/**
 * Exempts the endpoint with these variables from the proxy. Clients use a proxy for workload identity, whose real endpoint
 * is on the internet.
 */
export function bypassProxy(
  { AZURE_AUTHORITY_HOST: url }: Readonly<Record<string, string>>,
  env: Environment,
): Readonly<Record<string, string>> {
  if (url === undefined || !(env.HTTPS_PROXY || env.https_proxy)) return {};
  const { hostname } = new URL(url);
  const name = env.no_proxy ? "no_proxy" : "NO_PROXY";
  const exempt = env[name];
  return { [name]: exempt ? `${exempt},${hostname}` : hostname };
}

/** Assigns variables. process.env turns undefined into a text, so such a variable is deleted. */
function assign(env: Environment, variables: Environment): void {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
}
