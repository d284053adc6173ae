/*
 * The identity that the environment names, as MSAL Python's sample reads it.
 */

import type { ManagedIdentityIdParams } from "../index.js";

/** The kinds of identity in MANAGED_IDENTITY, and the option for each. */
const OPTIONS: { readonly [type: string]: keyof ManagedIdentityIdParams | undefined } = {
  SystemAssigned: undefined,
  ClientId: "userAssignedClientId",
  ObjectId: "userAssignedObjectId",
  ResourceId: "userAssignedResourceId",
};
const VARIABLE = "MANAGED_IDENTITY";
const CLIENT_ID = "AZURE_CLIENT_ID";

/** Functions that are parameters, so that the command line can read an environment without this package's classes. */
type Functions = {
  option(object: unknown, name: string): unknown;
  throwError(errorCode: string, errorMessage: string): never;
  requireId(id: unknown, name: string): string;
};

/** Returns the identity that an environment names, as managedIdentityIdParams. */
export function identityFromEnvironment(
  env: unknown,
  { option, throwError, requireId }: Functions,
): ManagedIdentityIdParams {
  const text = option(env, VARIABLE);
  if (text === undefined || text === null) {
    const id = option(env, CLIENT_ID);
    return id === undefined || id === null ? {} : { userAssignedClientId: requireId(id, CLIENT_ID) };
  }
  const identity = parseObject(text);
  if (identity === undefined) return throwError("invalid_configuration", `${VARIABLE} is not a JSON object.`);
  const type = option(identity, "ManagedIdentityIdType");
  if (typeof type !== "string" || !Object.hasOwn(OPTIONS, type)) {
    const types = Object.keys(OPTIONS).join(", ");
    return throwError(
      "invalid_managed_identity_id_type",
      `The ManagedIdentityIdType in ${VARIABLE} is not one of ${types}.`,
    );
  }
  const name = OPTIONS[type];
  return name === undefined ? {} : { [name]: requireId(option(identity, "Id"), `${VARIABLE}'s Id`) };
}

function parseObject(text: unknown): object | undefined {
  try {
    const value: unknown = JSON.parse(text as string); // Of another type, it is converted, as elsewhere.
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
