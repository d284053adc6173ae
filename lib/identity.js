"use strict";

/*
 * The identity by other ways than an application's options: MSAL.NET's factory methods, and the environment as
 * MSAL Python's sample reads it. Loaded by those who use them.
 */

/** What MANAGED_IDENTITY calls the kinds of identity, and the option for each. */
const OPTIONS = {
  SystemAssigned: undefined,
  ClientId: "userAssignedClientId",
  ObjectId: "userAssignedObjectId",
  ResourceId: "userAssignedResourceId",
};
const VARIABLE = "MANAGED_IDENTITY";
const CLIENT_ID = "AZURE_CLIENT_ID";

/** The identity that an environment names; `refuse` throws. */
function namedBy(env, { option, refuse, checkedId }) {
  const text = option(env, VARIABLE);
  if (text === undefined || text === null) {
    const id = option(env, CLIENT_ID);
    return id === undefined || id === null ? {} : { userAssignedClientId: checkedId(id, CLIENT_ID) };
  }
  const named = parsed(text, refuse);
  const type = option(named, "ManagedIdentityIdType");
  if (typeof type !== "string" || !Object.hasOwn(OPTIONS, type)) {
    const types = Object.keys(OPTIONS).join(", ");
    refuse("invalid_managed_identity_id_type", `${VARIABLE} has no ManagedIdentityIdType of ${types}.`);
  }
  const name = OPTIONS[type];
  return name === undefined ? {} : { [name]: checkedId(option(named, "Id"), `${VARIABLE}'s Id`) };
}

function parsed(text, refuse) {
  try {
    const value = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  return refuse("invalid_configuration", `${VARIABLE} holds no JSON object.`);
}

/** The options that take an id. */
const NAME = /^userAssigned(Client|Resource|Object)?Id$/;
const NAMES = "userAssignedClientId, userAssignedResourceId, userAssignedObjectId, userAssignedId";
/** Keys, in lower case and without separators, that stand for an id where it is not looked for. */
const NEAR_MISS =
  /^(userassigned|managedidentity)?(client|resource|object)id$|^(userassigned|managedidentity)id$/;
/** The same for managedIdentityIdParams itself. */
const NEAR_MISS_OF_GROUP = /^managedidentity(id)?param(s|eters)?$/;
const GROUP = "managedIdentityIdParams";
const LONGEST_KEY = 80;

/** Refuses an id beside managedIdentityIdParams, and whatever is in there under another name than an id's. */
function refuseMisspelt(configuration, ids, { own, refuse }) {
  const isPresent = (object, key) => own(object, key) !== undefined && own(object, key) !== null;
  const refuseKey = (key, place, advice) =>
    refuse(
      "invalid_configuration",
      `${place}${key.slice(0, LONGEST_KEY)} is not an option; if it were ignored, the token could be another ` +
        `identity's. ${advice}`,
    );
  const options = keysOf(configuration);
  for (let index = 0; index < options.length; index += 1) {
    const key = options[index];
    const spelt = key.toLowerCase().replace(/[-_ ]/g, "");
    const isGroup = key !== GROUP && NEAR_MISS_OF_GROUP.test(spelt);
    if (!(isGroup || NEAR_MISS.test(spelt)) || !isPresent(configuration, key)) continue;
    if (isGroup) refuseKey(key, "", `The option is ${GROUP}.`);
    refuseKey(key, "", `Give the id as managedIdentityIdParams.${nameFor(spelt) ?? "userAssignedId"}.`);
  }
  const names = keysOf(ids);
  for (let index = 0; index < names.length; index += 1) {
    const key = names[index];
    if (NAME.test(key) || !isPresent(ids, key)) continue;
    const name = nameFor(key.toLowerCase());
    const advice =
      name === undefined ? `The options are ${NAMES}.` : `Give the id as managedIdentityIdParams.${name}.`;
    refuseKey(key, "managedIdentityIdParams.", advice);
  }
}

function keysOf(object) {
  return typeof object === "object" && object !== null && !Array.isArray(object) ? Object.keys(object) : [];
}

/** The option that a key seems to mean. */
function nameFor(spelt) {
  if (/client|app/.test(spelt)) return "userAssignedClientId";
  if (/object|principal/.test(spelt)) return "userAssignedObjectId";
  if (/res/.test(spelt)) return "userAssignedResourceId";
  return undefined;
}

module.exports.namedBy = namedBy;
module.exports.refuseMisspelt = refuseMisspelt;
