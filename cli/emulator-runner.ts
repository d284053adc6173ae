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
import { printMessage } from "./messages.js";
import { omitUndefined } from "./omit-undefined.js";
import { abbreviate } from "./suggestions.js";
import { stripControlCharacters } from "./terminal.js";

/** The properties of the endpoints that clients need. They can be sent to another process. */
export interface EmulatorEndpoints {
  readonly sources: readonly EmulatorSource[];
  /** The variables of all endpoints. An empty value stands for a variable to unset. */
  readonly env: Readonly<Record<string, string>>;
  readonly urls: readonly string[];
}

/** Endpoints that run in this process. */
export type RunningEmulators = EmulatorEndpoints & { close(): Promise<void> };

/** The emulator's settings as plain data, which can be sent to another process. */
export interface EmulatorSettings {
  readonly sources: readonly EmulatorSource[];
  readonly host: string | undefined;
  readonly allowedHosts: readonly string[] | undefined;
  /** The port of the first source. Each further source has the next port. */
  readonly port: number | undefined;
  readonly secret: string | undefined;
  readonly lifetimeSeconds: number | undefined;
  readonly tenantId: string | undefined;
  readonly tokensDirectory: string | undefined;
  /** Whether the tokens are those of the Azure CLI. */
  readonly azureCli: boolean;
  readonly anyIdentity: boolean;
}

/** The options of the command line from which the settings are made. */
export interface EmulatorValues {
  readonly source: readonly string[];
  readonly host: string | undefined;
  readonly "allowed-host": readonly string[] | undefined;
  readonly port: number | undefined;
  readonly secret: string | undefined;
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
/** Their requests have the secret in a header. */
const WITH_SECRET = ["AppService", "MachineLearning", "ServiceFabric"];
/** Visible characters of ASCII, which a header can have at its ends too (RFC 9110, section 5.5). */
const SECRET = /^[\x21-\x7e]+$/;
/** The start of the emulator's messages about its options. */
const INVALID_OPTION = /^(?:startEmulator|azureCliTokens): (?:"(\w+)")?/;
/** The command line's names of the emulator's options, where they differ. */
const OPTION_NAMES: Readonly<Record<string, string>> = {
  allowedHosts: "allowed-host",
  lifetimeSeconds: "lifetime",
  tenantId: "tenant-id",
  tokensDirectory: "tokens-directory",
};
/** Each message is printed once; the limit bounds the memory of a long-running emulator. */
const MAX_REPORTED = 100;

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
  const { "tokens-directory": directory, "tenant-id": tenantId, secret } = values;
  const names = [...new Set(values.source)];
  const isArc = names.includes(ARC);
  if (secret !== undefined && !SECRET.test(secret)) {
    throw new UsageError("--secret must have visible ASCII characters only, and at least one.");
  }
  if (secret !== undefined && !names.some((name) => WITH_SECRET.includes(name))) {
    throw new UsageError(`--secret requires --source ${WITH_SECRET.join(" or ")}.`);
  }
  if (directory !== undefined && !isArc) {
    throw new UsageError(`--tokens-directory requires --source ${ARC}.`);
  }
  const azureCli = values.tokens === "azure-cli";
  return {
    sources: names.flatMap((name) => SOURCES.get(name) ?? []),
    host: values.host,
    allowedHosts: values["allowed-host"],
    port: values.port,
    secret,
    lifetimeSeconds: values.lifetime,
    tenantId,
    tokensDirectory: isArc ? toAbsolute(directory ?? arcKeyDirectory()) : undefined,
    azureCli,
    // The developer's token is the same for every id, and the service may be configured with an id of its own.
    anyIdentity: values["any-identity"] === true || azureCli,
  };
}

/** Starts an endpoint for each source and resolves once all of them listen. */
export async function startEmulators(settings: EmulatorSettings): Promise<RunningEmulators> {
  const { azureCli, sources: wanted, port, ...options } = settings;
  const started: Emulator[] = [];
  const close = async () => {
    await Promise.all(started.map((endpoint) => endpoint.close()));
  };
  try {
    const { tenantId } = options;
    const tokens = azureCli ? azureCliTokens(omitUndefined({ tenantId })) : undefined;
    const common = {
      ...omitUndefined({ ...options, tokens }),
      onRefusal: reportOnce(stripControlCharacters),
      onUnknownIdentity: reportOnce(
        (id) =>
          `rejected the unknown user-assigned identity ${abbreviate(stripControlCharacters(id))}. With --any-identity ` +
          "the emulator accepts every id.",
      ),
    };
    for (const [index, source] of wanted.entries()) {
      const own = omitUndefined({ port: port ? port + index : port });
      started.push(await startEmulator({ ...common, ...own, source }));
    }
    return { sources: wanted, env: mergeVariables(started), urls: started.map(({ url }) => url), close };
  } catch (error) {
    await close();
    throw error instanceof CliError ? error : startError(error, options);
  }
}

/** Returns the variables of all endpoints. Two of them cannot have the same variable. */
function mergeVariables(endpoints: readonly Emulator[]): Readonly<Record<string, string>> {
  const empty: Record<string, string> = {};
  const owners = new Map<string, EmulatorSource>();
  const set: Record<string, string> = {};
  for (const { env, source } of endpoints) {
    for (const [name, value] of Object.entries(env)) {
      if (value === "") {
        empty[name] = "";
        continue;
      }
      const owner = owners.get(name);
      if (owner !== undefined) {
        throw new UsageError(
          `--source ${sourceName(owner)} and ${sourceName(source)} cannot be combined, because clients find both by ` +
            `${name}. Start an emulator for each.`,
        );
      }
      owners.set(name, source);
      set[name] = value;
    }
  }
  return { ...empty, ...set };
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

/** Returns a function that prints a message about a value on stderr, once for each value. */
function reportOnce(toMessage: (value: string) => string): (value: string) => void {
  const reported = new Set<string>();
  return (value) => {
    if (reported.has(value) || reported.size === MAX_REPORTED) return;
    reported.add(value);
    printMessage(toMessage(value));
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
