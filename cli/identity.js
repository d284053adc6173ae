"use strict";

// Whose token a command is about: the options that name an identity, and the application that they make. It must
// not know a command.

const { ManagedIdentityApplication, ManagedIdentityError } = require("../index.js");
const { UsageError } = require("./complaint.js");

const KINDS = {
  "client-id": "userAssignedClientId",
  "resource-id": "userAssignedResourceId",
  "object-id": "userAssignedObjectId",
};

const identityOptions = {
  "client-id": { type: "string", value: "ID", says: "the client id of a user-assigned identity" },
  "resource-id": { type: "string", value: "ID", says: "its Azure resource id, instead" },
  "object-id": { type: "string", value: "ID", says: "its object id, instead" },
  timeout: { type: "string", integer: true, value: "MS", says: "how long it may take, in milliseconds" },
};

/** The application; what the package finds wrong with the options is wrong with the command line. */
function openApplication(values, { disableInternalRetries = false } = {}) {
  const ids = Object.entries(KINDS).map(([option, field]) => [field, values[option]]);
  try {
    return new ManagedIdentityApplication({
      managedIdentityIdParams: Object.fromEntries(ids),
      system: { totalTimeout: values.timeout, disableInternalRetries },
    });
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    throw new UsageError(error.message, { cause: error });
  }
}

/** `{ kind, id }`; the system-assigned identity has no id that anybody could give. */
function identityOf(values) {
  const kind = Object.keys(KINDS).find((option) => values[option] !== undefined);
  return kind === undefined ? { kind: "system-assigned", id: null } : { kind, id: values[kind] };
}

module.exports = { identityOf, identityOptions, openApplication };
