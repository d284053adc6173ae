// Starts an emulator endpoint from the options of the command line.

import { isAbsolute, join, resolve } from "node:path";
import { ManagedIdentitySourceNames } from "managed-identity-native";
import {
  azureCliTokens,
  type Emulator,
  type EmulatorSource,
  sources as emulatorSources,
  startEmulator,
} from "managed-identity-native/emulator";
import { CliError, UsageError } from "./errors.js";
import { PROGRAM } from "./exit-codes.js";
import { omitUndefined } from "./omit-undefined.js";
import { abbreviate } from "./suggestions.js";
import { stripControlCharacters } from "./terminal.js";

/** The properties of an endpoint that clients need. They can be sent to another process. */
export type EmulatorEndpoint = Pick<Emulator, "source" | "env" | "url">;

/** The emulator's settings as plain data, which can be sent to another process. */
export interface EmulatorSettings {
  readonly source: EmulatorSource;
  readonly port: number | undefined;
  readonly lifetimeSeconds: number | undefined;
  readonly tenantId: string | undefined;
  readonly tokensDirectory: string | undefined;
  /** Whether the tokens are those of the Azure CLI. */
  readonly azureCli: boolean;
  readonly anyIdentity: boolean;
}

/** The options of the command line from which the settings are made. */
export interface EmulatorValues {
  readonly source: string;
  readonly port: number | undefined;
  readonly lifetime: number | undefined;
  readonly "tenant-id": string | undefined;
  readonly "any-identity": boolean | undefined;
  readonly tokens: string;
  readonly "tokens-directory": string | undefined;
}

/** The emulator's source names by the names of getManagedIdentitySource(). */
const SOURCES: ReadonlyMap<string, EmulatorSource> = new Map(
  emulatorSources.map((source) => [sourceName(source), source]),
);
const ARC = "AzureArc";
/** The start of the emulator's messages about its options. */
const INVALID_OPTION = /^(?:startEmulator|azureCliTokens): (?:"(\w+)")?/;
/** The command line's names of the emulator's options, where they differ. */
const OPTION_NAMES: Readonly<Record<string, string>> = {
  lifetimeSeconds: "lifetime",
  tenantId: "tenant-id",
  tokensDirectory: "tokens-directory",
};
/** Each id is reported once; the limit bounds the memory of a long-running emulator. */
const MAX_REPORTED_IDS = 100;

/** The valid values of `--source`. */
export const sources: readonly string[] = [...SOURCES.keys()];

/** Converts "app-service" to "AppService", the value of `--source`. */
export function sourceName(source: EmulatorSource): string {
  return source.replace(/(?:^|-)(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Returns the name with which getManagedIdentitySource() reports an emulated source. */
export function detectedSourceName(source: EmulatorSource): string {
  return source === "imds" ? ManagedIdentitySourceNames.DEFAULT_TO_IMDS : sourceName(source);
}

export function parseEmulatorOptions(values: EmulatorValues): EmulatorSettings {
  const { "tokens-directory": directory, "tenant-id": tenantId } = values;
  const source = SOURCES.get(values.source);
  if (source === undefined) throw new UsageError(`--source must be one of ${sources.join(", ")}.`);
  const isArc = values.source === ARC;
  if (directory !== undefined && !isArc) {
    throw new UsageError(`--tokens-directory requires --source ${ARC}.`);
  }
  const azureCli = values.tokens === "azure-cli";
  return {
    source,
    port: values.port,
    lifetimeSeconds: values.lifetime,
    tenantId,
    tokensDirectory: isArc ? toAbsolute(directory ?? arcKeyDirectory()) : undefined,
    azureCli,
    // The developer's token is the same for every id, and the service may be configured with an id of its own.
    anyIdentity: values["any-identity"] === true || azureCli,
  };
}

/** Starts the endpoint and resolves once it listens. */
export async function startEmulatorEndpoint({ azureCli, ...options }: EmulatorSettings): Promise<Emulator> {
  try {
    const { tenantId } = options;
    const tokens = azureCli ? azureCliTokens(omitUndefined({ tenantId })) : undefined;
    return await startEmulator({
      ...omitUndefined({ ...options, tokens }),
      onUnknownIdentity: unknownIdentityHints(),
    });
  } catch (error) {
    throw startError(error, options);
  }
}

/** Returns the error of the emulator in the terms of the command line. */
function startError(error: unknown, settings: Pick<EmulatorSettings, "tokensDirectory">): CliError {
  const message = error instanceof Error ? error.message : String(error);
  if (!INVALID_OPTION.test(message)) {
    const text = `The emulator could not start: ${message}.${startRemedy(error, settings)}`;
    return new CliError(text, { cause: error });
  }
  const usage = message.replace(INVALID_OPTION, (_, name: string) => `--${OPTION_NAMES[name] ?? name}`);
  return new UsageError(usage, { cause: error });
}

function startRemedy(error: unknown, { tokensDirectory }: Pick<EmulatorSettings, "tokensDirectory">): string {
  if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
    return " Omit --port to use a free port.";
  }
  if (tokensDirectory === undefined) return "";
  return (
    ` Clients of Azure Arc read keys from ${arcKeyDirectory()} only. Run the emulator as root in a container, or ` +
    "create the directory and make your user its owner."
  );
}

/** Returns a function that reports rejected ids on stderr, together with the option that accepts them. */
function unknownIdentityHints(): (id: string) => void {
  const reported = new Set<string>();
  return (id) => {
    if (reported.has(id) || reported.size === MAX_REPORTED_IDS) return;
    reported.add(id);
    const shown = abbreviate(stripControlCharacters(id));
    process.stderr.write(
      `${PROGRAM}: rejected the unknown user-assigned identity ${shown}. ` +
        "With --any-identity the emulator accepts every id.\n",
    );
  };
}

/** Returns the directory of the agent's key files, the only one from which clients read keys. */
function arcKeyDirectory(): string | undefined {
  const { platform, env } = process;
  if (platform === "linux") return "/var/opt/azcmagent/tokens";
  if (platform === "win32" && env.ProgramData) {
    return join(env.ProgramData, "AzureConnectedMachineAgent", "Tokens");
  }
  return undefined;
}

function toAbsolute(directory: string | undefined): string | undefined {
  return directory === undefined || isAbsolute(directory) ? directory : resolve(directory);
}
