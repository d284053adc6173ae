"use strict";

/*
 * The identity that the environment names (as in MSAL Python's sample), and misspelt options for an identity.
 */

/** The kinds of identity in MANAGED_IDENTITY, and the option for each. */
const OPTIONS = {
  SystemAssigned: undefined,
  ClientId: "userAssignedClientId",
  ObjectId: "userAssignedObjectId",
  ResourceId: "userAssignedResourceId",
};
const VARIABLE = "MANAGED_IDENTITY";
const CLIENT_ID = "AZURE_CLIENT_ID";

/** Returns the identity that an environment names, as managedIdentityIdParams. */
function identityFromEnvironment(env, { option, throwError, requireId }) {
  const text = option(env, VARIABLE);
  if (text === undefined || text === null) {
    const id = option(env, CLIENT_ID);
    return id === undefined || id === null ? {} : { userAssignedClientId: requireId(id, CLIENT_ID) };
  }
  const identity = parseManagedIdentityVariable(text, throwError);
  const type = option(identity, "ManagedIdentityIdType");
  if (typeof type !== "string" || !Object.hasOwn(OPTIONS, type)) {
    const types = Object.keys(OPTIONS).join(", ");
    throwError(
      "invalid_managed_identity_id_type",
      `The ManagedIdentityIdType in ${VARIABLE} is not one of ${types}.`,
    );
  }
  const name = OPTIONS[type];
  return name === undefined ? {} : { [name]: requireId(option(identity, "Id"), `${VARIABLE}'s Id`) };
}

function parseManagedIdentityVariable(text, throwError) {
  try {
    const value = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Reported below.
  }
  return throwError("invalid_configuration", `${VARIABLE} is not a JSON object.`);
}

/** The options for an id. */
const ID_OPTION = /^userAssigned(Client|Resource|Object)?Id$/;
const ID_OPTIONS = "userAssignedClientId, userAssignedResourceId, userAssignedObjectId, userAssignedId";
/** Keys, in lower case and without separators, that look like an option for an id. */
const NEAR_MISS =
  /^(userassigned|managedidentity)?(client|resource|object)id$|^(userassigned|managedidentity)id$/;
/** Keys that look like managedIdentityIdParams. */
const NEAR_MISS_OF_PARAMS = /^managedidentity(id)?param(s|eters)?$/;
const PARAMS_OPTION = "managedIdentityIdParams";
const MAX_QUOTED_KEY_LENGTH = 80;

/** Rejects ids outside managedIdentityIdParams and unknown keys inside it. */
function rejectMisspelt(configuration, ids, { own, throwError }) {
  const isPresent = (object, key) => own(object, key) !== undefined && own(object, key) !== null;
  const rejectKey = (key, prefix, advice) =>
    throwError(
      "invalid_configuration",
      `${prefix}${key.slice(0, MAX_QUOTED_KEY_LENGTH)} is not an option; if it were ignored, the token could be another ` +
        `identity's. ${advice}`,
    );
  const options = ownKeys(configuration);
  for (let index = 0; index < options.length; index += 1) {
    const key = options[index];
    const normalized = key.toLowerCase().replace(/[-_ ]/g, "");
    const isParams = key !== PARAMS_OPTION && NEAR_MISS_OF_PARAMS.test(normalized);
    if (!(isParams || NEAR_MISS.test(normalized)) || !isPresent(configuration, key)) continue;
    if (isParams) rejectKey(key, "", `The option is ${PARAMS_OPTION}.`);
    rejectKey(
      key,
      "",
      `Give the id as managedIdentityIdParams.${intendedOption(normalized) ?? "userAssignedId"}.`,
    );
  }
  const names = ownKeys(ids);
  for (let index = 0; index < names.length; index += 1) {
    const key = names[index];
    if (ID_OPTION.test(key) || !isPresent(ids, key)) continue;
    const name = intendedOption(key.toLowerCase());
    const advice =
      name === undefined
        ? `The options are ${ID_OPTIONS}.`
        : `Give the id as managedIdentityIdParams.${name}.`;
    rejectKey(key, "managedIdentityIdParams.", advice);
  }
}

function ownKeys(object) {
  return typeof object === "object" && object !== null && !Array.isArray(object) ? Object.keys(object) : [];
}

/** Returns the option that a key probably means. */
function intendedOption(normalized) {
  if (/client|app/.test(normalized)) return "userAssignedClientId";
  if (/object|principal/.test(normalized)) return "userAssignedObjectId";
  if (/res/.test(normalized)) return "userAssignedResourceId";
  return undefined;
}

module.exports.identityFromEnvironment = identityFromEnvironment;
module.exports.rejectMisspelt = rejectMisspelt;
