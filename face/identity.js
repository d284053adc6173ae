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
function namedBy(env, refuse) {
  const text = env[VARIABLE];
  if (text === undefined || text === null) {
    const id = env[CLIENT_ID];
    return id === undefined || id === null ? {} : { userAssignedClientId: checked(id, CLIENT_ID, refuse) };
  }
  const { ManagedIdentityIdType: type, Id: id } = parsed(text, refuse);
  if (typeof type !== "string" || !Object.hasOwn(OPTIONS, type)) {
    const types = Object.keys(OPTIONS).join(", ");
    refuse("invalid_managed_identity_id_type", `${VARIABLE} has no ManagedIdentityIdType of ${types}.`);
  }
  const option = OPTIONS[type];
  return option === undefined ? {} : { [option]: checked(id, `${VARIABLE}'s Id`, refuse) };
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

/** An id; a variable that is there but empty must not become another identity. */
function checked(id, name, refuse) {
  if (typeof id === "string" && id.trim() !== "") return id;
  return refuse(
    "missing_client_id",
    `${name} is empty or no string; unset it for the system-assigned identity.`,
  );
}

module.exports.checked = checked;
module.exports.namedBy = namedBy;
