"use strict";

// Whose token a command is about: the options that name an identity, and the application that they make. It must
// not know a command.

const {
  ManagedIdentityApplication,
  ManagedIdentityError,
  ManagedIdentitySourceNames,
} = require("../lib/index.js");
const { identityFromEnvironment } = require("../lib/identity.js");
const { UsageError } = require("./complaint.js");

const KINDS = {
  "client-id": "userAssignedClientId",
  "resource-id": "userAssignedResourceId",
  "object-id": "userAssignedObjectId",
};

const ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\/subscriptions\/[\w./()-]{1,300})$/i;

const identityOptions = {
  "client-id": { type: "string", value: "ID", says: "the client id of a user-assigned identity" },
  "resource-id": { type: "string", value: "ID", says: "its Azure resource id, instead" },
  "object-id": { type: "string", value: "ID", says: "its object id, instead" },
};

/** `--timeout`, with what holds without it. */
function timeoutOption(otherwise) {
  const says = `how long it may take, in milliseconds, 1 to 600000; without it, ${otherwise}`;
  return { type: "string", integer: true, value: "MS", says };
}

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
    throw new UsageError(inOptions(error.message), { cause: error });
  }
}

/** An error's words with the command line's options in place of the package's. */
function inOptions(message) {
  const ids = Object.entries(KINDS).reduce(
    (text, [option, field]) =>
      text
        .replaceAll(`managedIdentityIdParams.${field}`, `--${option}`)
        .replaceAll(`.${field}`, `--${option}`),
    message,
  );
  return ids.replaceAll("system.totalTimeout", "--timeout");
}

/**
 * `{ kind, id }`: the identity that the options name. The system-assigned one has no id that anybody could give;
 * in its place a workload identity is that of AZURE_CLIENT_ID, whose id is null if it looks like none.
 */
function identityOf(values, source, env = process.env) {
  const kind = kindGiven(values);
  if (kind !== undefined) return { kind, id: values[kind] };
  if (source !== ManagedIdentitySourceNames.WORKLOAD_IDENTITY) return { kind: "system-assigned", id: null };
  return { kind: "client-id", id: presentable(env.AZURE_CLIENT_ID) };
}

/** The option by which an identity was named, without its dashes; undefined without one. */
function kindGiven(values) {
  return Object.keys(KINDS).find((option) => values[option] !== undefined);
}

/**
 * What `fromEnvironment()` would make of the environment, if that is another identity than the one which no option
 * leads to: `{ kind, id, variable }`, or `{ problem }` if it would throw; else undefined.
 */
function namedByEnvironment(source, env = process.env) {
  const variable = env.MANAGED_IDENTITY === undefined ? "AZURE_CLIENT_ID" : "MANAGED_IDENTITY";
  try {
    ManagedIdentityApplication.fromEnvironment(env);
    const [entry] = Object.entries(
      identityFromEnvironment(env, { option: (object, name) => object[name], requireId: (id) => id }),
    );
    if (entry === undefined) return undefined;
    const [field, id] = entry;
    const isUsual =
      source === ManagedIdentitySourceNames.WORKLOAD_IDENTITY &&
      field === KINDS["client-id"] &&
      id === env.AZURE_CLIENT_ID;
    const kind = Object.keys(KINDS).find((option) => KINDS[option] === field);
    return isUsual ? undefined : { kind, id: presentable(id), variable };
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    return { problem: error.message };
  }
}

/** An id as it may be shown; null for anything else that a variable may hold. */
function presentable(id) {
  return ID.test(id) ? id : null;
}

module.exports = {
  identityOf,
  identityOptions,
  kindGiven,
  namedByEnvironment,
  openApplication,
  timeoutOption,
};
