/*
 * Options and request fields under a wrong name. Unknown keys are ignored in general, but these would silently select
 * another identity, or have no effect on which a caller relies.
 */

import { throwError } from "./errors.js";
import { keys, own } from "./safe-objects.js";

/** The options for an id. */
const ID_OPTION = /^userAssigned(Client|Resource|Object)?Id$/;
const ID_OPTIONS = "userAssignedClientId, userAssignedResourceId, userAssignedObjectId, userAssignedId";
/** Keys that can be a misspelt option for an id, or for managedIdentityIdParams. */
const POSSIBLY_ID = /[iI][dD]$|^(?!managedIdentityIdParams$)[mM]anaged/;
const NOT_ID_OPTION = /^(?!userAssigned(Client|Resource|Object)?Id$)/;
/** Keys, in lower case and without separators, that look like an option for an id. */
const NEAR_MISS =
  /^(userassigned|managedidentity)?(client|resource|object)id$|^(userassigned|managedidentity)id$/;
/** Keys that look like managedIdentityIdParams. */
const NEAR_MISS_OF_PARAMS = /^managedidentity(id)?param(s|eters)?$/;
const PARAMS_OPTION = "managedIdentityIdParams";
const MAX_QUOTED_KEY_LENGTH = 80;

type Fields = { readonly [key: string]: unknown };

/** Rejects misspelt keys that would silently select the system-assigned identity. */
export function rejectMisspeltIds(configuration: unknown, ids: unknown): void {
  if (!hasKey(configuration, POSSIBLY_ID) && !hasKey(ids, NOT_ID_OPTION)) return;
  rejectIdsOutsideParams(configuration);
  rejectUnknownParams(ids);
}

/** Whether an object has a key that matches. */
function hasKey(object: unknown, form: RegExp): boolean {
  if (typeof object !== "object" || object === null) return false;
  const names = keys(object);
  for (let index = 0; index < names.length; index += 1) {
    if (form.test(names[index] as string)) return true;
  }
  return false;
}

function rejectIdsOutsideParams(configuration: unknown): void {
  const names = ownKeys(configuration);
  for (let index = 0; index < names.length; index += 1) {
    const key = names[index] as string;
    const normalized = key.toLowerCase().replace(/[-_ ]/g, "");
    const isParams = key !== PARAMS_OPTION && NEAR_MISS_OF_PARAMS.test(normalized);
    if (!(isParams || NEAR_MISS.test(normalized)) || !isPresent(configuration, key)) continue;
    if (isParams) rejectKey(key, "", `The option is ${PARAMS_OPTION}.`);
    rejectKey(key, "", `Give the id as ${PARAMS_OPTION}.${intendedOption(normalized) ?? "userAssignedId"}.`);
  }
}

function rejectUnknownParams(ids: unknown): void {
  const names = ownKeys(ids);
  for (let index = 0; index < names.length; index += 1) {
    const key = names[index] as string;
    if (ID_OPTION.test(key) || !isPresent(ids, key)) continue;
    const option = intendedOption(key.toLowerCase());
    const advice =
      option === undefined ? `The options are ${ID_OPTIONS}.` : `Give the id as ${PARAMS_OPTION}.${option}.`;
    rejectKey(key, `${PARAMS_OPTION}.`, advice);
  }
}

function isPresent(object: unknown, key: string): boolean {
  return own(object as Fields, key) !== undefined;
}

function ownKeys(object: unknown): string[] {
  return typeof object === "object" && object !== null && !Array.isArray(object) ? keys(object) : [];
}

/** Returns the option that a key probably means. */
function intendedOption(normalized: string): string | undefined {
  if (/client|app/.test(normalized)) return "userAssignedClientId";
  if (/object|principal/.test(normalized)) return "userAssignedObjectId";
  if (/res/.test(normalized)) return "userAssignedResourceId";
  return undefined;
}

function rejectKey(key: string, prefix: string, advice: string): never {
  return throwError(
    "invalid_configuration",
    `${prefix}${key.slice(0, MAX_QUOTED_KEY_LENGTH)} is not an option; if it were ignored, the token could be another ` +
      `identity's. ${advice}`,
  );
}
