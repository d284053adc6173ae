"use strict";

// The options that select an identity, and the application that they create.

const { identityFromEnvironment } = require("../lib/identity-from-environment.js");
const {
  ManagedIdentityApplication,
  ManagedIdentityError,
  ManagedIdentitySourceNames,
} = require("../lib/index.js");
const { UsageError } = require("./errors.js");

/** The fields of `managedIdentityIdParams` by option. */
const ID_FIELDS = {
  "client-id": "userAssignedClientId",
  "resource-id": "userAssignedResourceId",
  "object-id": "userAssignedObjectId",
};

const DISPLAYABLE_ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\/subscriptions\/[\w./()-]{1,300})$/i;

const identityOptions = {
  "client-id": { type: "string", value: "ID", description: "client id of a user-assigned identity" },
  "resource-id": { type: "string", value: "ID", description: "Azure resource id, in place of --client-id" },
  "object-id": { type: "string", value: "ID", description: "object id, in place of --client-id" },
};

/** Returns the option `--timeout`; `defaultText` states its default. */
function timeoutOption(defaultText) {
  const description = `timeout in milliseconds, 1 to 600000; default: ${defaultText}`;
  return { type: "string", integer: true, value: "MS", description };
}

/** Creates the application. An error of the package about its options is reported as an error of the command line. */
function createApplication(values, { disableInternalRetries = false } = {}) {
  const ids = Object.entries(ID_FIELDS).map(([option, field]) => [field, values[option]]);
  try {
    return new ManagedIdentityApplication({
      managedIdentityIdParams: Object.fromEntries(ids),
      system: { totalTimeout: values.timeout, disableInternalRetries },
    });
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    throw new UsageError(toOptionNames(error.message), { cause: error });
  }
}

/** Replaces the package's option names in a message by those of the command line. */
function toOptionNames(message) {
  const ids = Object.entries(ID_FIELDS).reduce(
    (text, [option, field]) =>
      text
        .replaceAll(`managedIdentityIdParams.${field}`, `--${option}`)
        .replaceAll(`.${field}`, `--${option}`),
    message,
  );
  return ids.replaceAll("system.totalTimeout", "--timeout");
}

/**
 * Returns `{ kind, id }` of the selected identity. The id of the system-assigned identity is null. Without an option a
 * workload identity has the client id in AZURE_CLIENT_ID, or null if its format is not that of an id.
 */
function describeIdentity(values, source, env = process.env) {
  const option = selectedIdentityOption(values);
  if (option !== undefined) return { kind: option, id: values[option] };
  if (source !== ManagedIdentitySourceNames.WORKLOAD_IDENTITY) return { kind: "system-assigned", id: null };
  return { kind: "client-id", id: displayableId(env.AZURE_CLIENT_ID) };
}

/** Returns the name of the option that selects the identity, or undefined if there is none. */
function selectedIdentityOption(values) {
  return Object.keys(ID_FIELDS).find((option) => values[option] !== undefined);
}

/**
 * Returns the identity that `fromEnvironment()` would use, as `{ kind, id, variable }`, or `{ problem }` if it would
 * throw. Returns undefined if it would use the same identity as a run without options.
 */
function environmentIdentity(source, env = process.env) {
  const variable = env.MANAGED_IDENTITY === undefined ? "AZURE_CLIENT_ID" : "MANAGED_IDENTITY";
  try {
    ManagedIdentityApplication.fromEnvironment(env);
    const [entry] = Object.entries(
      identityFromEnvironment(env, { option: (object, name) => object[name], requireId: (id) => id }),
    );
    if (entry === undefined) return undefined;
    const [field, id] = entry;
    const isDefault =
      source === ManagedIdentitySourceNames.WORKLOAD_IDENTITY &&
      field === ID_FIELDS["client-id"] &&
      id === env.AZURE_CLIENT_ID;
    const kind = Object.keys(ID_FIELDS).find((option) => ID_FIELDS[option] === field);
    return isDefault ? undefined : { kind, id: displayableId(id), variable };
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    return { problem: error.message };
  }
}

/** Returns an id that may be shown, or null: a variable may contain anything, such as a secret. */
function displayableId(id) {
  return DISPLAYABLE_ID.test(id) ? id : null;
}

module.exports = {
  createApplication,
  describeIdentity,
  environmentIdentity,
  identityOptions,
  selectedIdentityOption,
  timeoutOption,
};
