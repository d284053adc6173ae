// Reads the parameters of a token request. Each source has its own parameter names for the ids of an identity.

import type { EmulatorIdentity } from "managed-identity-native/emulator";
import type { IdKind } from "./identities.js";

/** Decoded parameters; the value of a repeated parameter is an array. */
export type RequestParameters = Readonly<Record<string, string | string[]>>;

/** The parameters of a source by name, and the id that each of them carries. */
export type IdentityParameters = Readonly<Record<string, IdKind>>;

/** The identity that a request names, or the defect of its parameters. `identity` is undefined if it does not exist. */
export type RequestedIdentity =
  | { readonly isNamed: false; readonly problem?: undefined; readonly identity?: undefined }
  | {
      readonly isNamed: true;
      readonly problem?: undefined;
      readonly identity: EmulatorIdentity | undefined;
    }
  | { readonly isNamed?: undefined; readonly problem: string; readonly identity?: undefined };

// The parameter names of all sources. A real source ignores the name of another source, and so returns a token of its
// own identity. The emulator rejects such a request, so that a test notices the mistake.
const ALL_IDENTITY_PARAMETERS = [
  "client_id",
  "clientid",
  "object_id",
  "principal_id",
  "msi_res_id",
  "mi_res_id",
  "resource_id",
];

/** Finds the identity that a request names. `find` returns the identity with an id. */
export function findRequestedIdentity(
  parameters: RequestParameters,
  identityParameters: IdentityParameters,
  find: (kind: IdKind, id: string) => EmulatorIdentity | undefined,
): RequestedIdentity {
  const sent = ALL_IDENTITY_PARAMETERS.filter((name) => Object.hasOwn(parameters, name));
  const [name] = sent;
  if (name === undefined) return { isNamed: false };
  const value = parameters[name];
  if (sent.length > 1 || typeof value !== "string") {
    return { problem: `Only one of the identity parameters may be specified, got ${sent.join(", ")}` };
  }
  const kind = Object.hasOwn(identityParameters, name) ? identityParameters[name] : undefined;
  if (kind === undefined) {
    const valid = Object.keys(identityParameters).join(", ");
    return { problem: `Unknown identity parameter '${name}', use ${valid}` };
  }
  return { isNamed: true, identity: find(kind, value) };
}

/** Returns the value of a parameter that is sent once and is not empty; otherwise undefined. */
export function singleValue(parameters: RequestParameters, name: string): string | undefined {
  const value = parameters[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Returns the client capabilities in the parameter `xms_cc`. */
export function readCapabilities(parameters: RequestParameters): readonly string[] {
  return singleValue(parameters, "xms_cc")?.split(",") ?? [];
}

/** The part of the form parameter `claims` that contains client capabilities. */
type ClaimsParameter = { access_token?: { xms_cc?: { values?: unknown } } } | null;

/** Returns the client capabilities in the form parameter `claims`, which Entra itself expects. */
export function readClaimsCapabilities(form: RequestParameters): readonly string[] {
  try {
    const claims: ClaimsParameter = JSON.parse(singleValue(form, "claims") ?? "{}");
    const values = claims?.access_token?.xms_cc?.values;
    return Array.isArray(values) ? values.filter((value) => typeof value === "string") : [];
  } catch {
    return [];
  }
}
