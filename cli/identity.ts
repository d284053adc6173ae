// The options that select an identity, and the application that they create.

import {
  ManagedIdentityApplication,
  ManagedIdentityError,
  type ManagedIdentityIdParams,
  ManagedIdentitySourceNames,
} from "managed-identity-native";
import { identityFromEnvironment } from "../lib/identity-from-environment.js";
import { UsageError } from "./errors.js";
import { omitUndefined } from "./omit-undefined.js";
import type { OptionTable, ValueSpec } from "./options.js";

export const identityOptions = {
  "client-id": { type: "string", value: "ID", description: "client id of a user-assigned identity" },
  "resource-id": { type: "string", value: "ID", description: "Azure resource id, in place of --client-id" },
  "object-id": { type: "string", value: "ID", description: "object id, in place of --client-id" },
} as const satisfies OptionTable;

/** The sources that an application can be restricted to. The name `DefaultToImds` means the same as `Imds`. */
const SOURCE_CHOICES = Object.values(ManagedIdentitySourceNames);

/** The options of an application that determine where tokens come from. */
export const sourceOptions = {
  source: {
    type: "list",
    value: "SOURCE",
    choices: SOURCE_CHOICES,
    description:
      "the application's option source: the only source, or those of which the first that is configured is used",
  },
  "azure-proxy": {
    type: "boolean",
    description: "the application's option system.enableAzureProxy: uses the token proxy of an AKS cluster",
  },
} as const satisfies OptionTable;

/** The name of an option that selects an identity. */
export type IdentityOption = keyof typeof identityOptions;

/** The parsed options of a command that acquires a token. */
export type IdentityValues = Readonly<Record<IdentityOption, string | undefined>> & {
  readonly timeout: number | undefined;
  readonly source?: readonly string[] | undefined;
  readonly "azure-proxy"?: boolean | undefined;
};

/** The identity of a run. The id of the system-assigned identity is null. */
export interface SelectedIdentity {
  readonly kind: IdentityOption | "system-assigned";
  readonly id: string | null;
}

/** The identity that `fromEnvironment()` would use, or why it would throw. */
export type EnvironmentIdentity =
  | {
      readonly problem?: undefined;
      readonly kind: IdentityOption;
      /** null if the value may not be shown. */
      readonly id: string | null;
      /** The variable that names the identity. */
      readonly variable: string;
    }
  | { readonly problem: string };

/** The fields of `managedIdentityIdParams` by option. */
const ID_FIELDS: Readonly<Record<IdentityOption, keyof ManagedIdentityIdParams>> = {
  "client-id": "userAssignedClientId",
  "resource-id": "userAssignedResourceId",
  "object-id": "userAssignedObjectId",
};
const IDENTITY_OPTIONS: readonly IdentityOption[] = ["client-id", "resource-id", "object-id"];

const DISPLAYABLE_ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\/subscriptions\/[\w./()-]{1,300})$/i;

/** Returns the option `--timeout`; `defaultText` states its default. */
export function timeoutOption(defaultText: string) {
  const description = `timeout in milliseconds, 1 to 600000; default: ${defaultText}`;
  return { type: "integer", value: "MS", description } as const satisfies ValueSpec;
}

/** Creates the application. An error of the package about its options is reported as an error of the command line. */
export function createApplication(
  values: IdentityValues,
  { disableInternalRetries = false } = {},
): ManagedIdentityApplication {
  try {
    return new ManagedIdentityApplication({
      managedIdentityIdParams: omitUndefined({
        userAssignedClientId: values["client-id"],
        userAssignedResourceId: values["resource-id"],
        userAssignedObjectId: values["object-id"],
      }),
      system: {
        totalTimeout: values.timeout,
        disableInternalRetries,
        enableAzureProxy: values["azure-proxy"],
      },
      // The command line accepts these names only.
      source: values.source as ManagedIdentitySourceNames[] | undefined,
    });
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    throw new UsageError(toOptionNames(error.message), { cause: error });
  }
}

/** Replaces the package's option names in a message by those of the command line. */
function toOptionNames(message: string): string {
  const ids = IDENTITY_OPTIONS.reduce(
    (text, option) =>
      text
        .replaceAll(`managedIdentityIdParams.${ID_FIELDS[option]}`, `--${option}`)
        .replaceAll(`.${ID_FIELDS[option]}`, `--${option}`),
    message,
  );
  return ids.replaceAll("system.totalTimeout", "--timeout");
}

/**
 * Returns the selected identity. Without an option a workload identity has the client id in AZURE_CLIENT_ID, or null if
 * its format is not that of an id.
 */
export function describeIdentity(values: IdentityValues, source: string): SelectedIdentity {
  const option = selectedIdentityOption(values);
  if (option !== undefined) return { kind: option, id: values[option] ?? null };
  if (source !== ManagedIdentitySourceNames.WORKLOAD_IDENTITY) return { kind: "system-assigned", id: null };
  return { kind: "client-id", id: displayableId(process.env.AZURE_CLIENT_ID) };
}

/** Returns the option that selects the identity, or undefined if there is none. */
export function selectedIdentityOption(values: IdentityValues): IdentityOption | undefined {
  return IDENTITY_OPTIONS.find((option) => values[option] !== undefined);
}

/**
 * Returns the identity that `fromEnvironment()` would use. Returns undefined if it would use the same identity as a run
 * without options.
 */
export function environmentIdentity(source: string): EnvironmentIdentity | undefined {
  const { env } = process;
  const variable = env.MANAGED_IDENTITY === undefined ? "AZURE_CLIENT_ID" : "MANAGED_IDENTITY";
  try {
    ManagedIdentityApplication.fromEnvironment(env);
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    return { problem: error.message };
  }
  const ids = identityFromEnvironment(env, {
    option: (object, name) => (object instanceof Object ? Reflect.get(object, name) : undefined),
    requireId: String,
    throwError: (_, message) => {
      throw new TypeError(message); // Not reached: fromEnvironment() succeeded.
    },
  });
  const kind = IDENTITY_OPTIONS.find((option) => ids[ID_FIELDS[option]] !== undefined);
  if (kind === undefined) return undefined;
  const id = ids[ID_FIELDS[kind]];
  const isDefault =
    source === ManagedIdentitySourceNames.WORKLOAD_IDENTITY &&
    kind === "client-id" &&
    id === env.AZURE_CLIENT_ID;
  return isDefault ? undefined : { kind, id: displayableId(id), variable };
}

/** Returns an id that may be shown, or null: a variable may contain anything, such as a secret. */
function displayableId(id: string | undefined): string | null {
  return id !== undefined && DISPLAYABLE_ID.test(id) ? id : null;
}
