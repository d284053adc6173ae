"use strict";

// Starts an emulator endpoint from the options of the command line, and computes the variables that lead clients to it.

const { isAbsolute, join, resolve } = require("node:path");
const emulator = require("../emulator/index.js");
const { ManagedIdentityApplication, ManagedIdentitySourceNames } = require("../lib/index.js");
const { abbreviate } = require("./arguments.js");
const { CliError, UsageError } = require("./errors.js");
const { PROGRAM } = require("./exit-codes.js");
const { conflictingVariables } = require("./explain-source.js");
const { stripControlCharacters } = require("./terminal.js");

/** The emulator's source names by the names of getManagedIdentitySource(). */
const SOURCES = Object.fromEntries(emulator.sources.map((source) => [toPascalCase(source), source]));
const ARC = "AzureArc";
const IMDS = "Imds";
/** The start of the emulator's messages about its options. */
const INVALID_OPTION = /^(?:startEmulator|azureCliTokens): (?:"(\w+)")?/;
/** The command line's names of the emulator's options, where they differ. */
const OPTION_NAMES = {
  lifetimeSeconds: "lifetime",
  tenantId: "tenant-id",
  tokensDirectory: "tokens-directory",
};
const ADDRESS = "127.0.0.1";
/** Each id is reported once; the limit bounds the memory of a long-running emulator. */
const MAX_REPORTED_IDS = 100;

/** Returns the directory of the agent's key files, the only one from which clients read keys. */
function arcKeyDirectory({ platform, env } = process) {
  if (platform === "linux") return "/var/opt/azcmagent/tokens";
  if (platform === "win32" && env.ProgramData) {
    return join(env.ProgramData, "AzureConnectedMachineAgent", "Tokens");
  }
  return undefined;
}

/** Returns the emulator's settings as plain data, which can be sent to another process. */
function parseEmulatorOptions(values) {
  const { source, "tokens-directory": directory, "tenant-id": tenantId } = values;
  if (directory !== undefined && source !== ARC) {
    throw new UsageError(`--tokens-directory requires --source ${ARC}.`);
  }
  return {
    source: SOURCES[source],
    port: values.port,
    lifetimeSeconds: values.lifetime,
    tenantId,
    tokensDirectory: source === ARC ? toAbsolute(directory ?? arcKeyDirectory()) : undefined,
    azureCli: values.tokens === "azure-cli",
    // The developer's token is the same for every id, and the service may be configured with an id of its own.
    anyIdentity: values["any-identity"] === true || values.tokens === "azure-cli",
  };
}

/** Starts the endpoint and resolves once it listens. */
async function startEmulatorEndpoint({ azureCli, ...options }) {
  try {
    const { tenantId } = options;
    const tokens = azureCli ? emulator.azureCliTokens({ tenantId }) : undefined;
    return await emulator.startEmulator({ ...options, tokens, onUnknownIdentity: unknownIdentityReporter() });
  } catch (error) {
    if (INVALID_OPTION.test(error.message)) {
      const message = error.message.replace(INVALID_OPTION, (_, name) => `--${OPTION_NAMES[name] ?? name}`);
      throw new UsageError(message, { cause: error });
    }
    throw new CliError(`The emulator could not start: ${error.message}.${startRemedy(error, options)}`, {
      cause: error,
    });
  }
}

/** Returns a function that reports rejected ids on stderr, together with the option that accepts them. */
function unknownIdentityReporter() {
  const reported = new Set();
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

function startRemedy({ code }, { tokensDirectory }) {
  if (code === "EADDRINUSE") return " Omit --port to use a free port.";
  if (tokensDirectory === undefined) return "";
  return (
    ` Clients of Azure Arc read keys from ${arcKeyDirectory()} only. Run the emulator as root in a container, or ` +
    "create the directory and make your user its owner."
  );
}

/**
 * Returns the variables that lead clients from this environment to the endpoint: `set`, and the names to `unset`
 * because they would select another source.
 */
function clientVariables({ env: own, source }, env = process.env) {
  const set = { ...own, ...bypassProxy(source, env) };
  const name = toPascalCase(source);
  const wanted = name === IMDS ? ManagedIdentitySourceNames.DEFAULT_TO_IMDS : name;
  const unset = conflictingVariables(new ManagedIdentityApplication(), set, wanted);
  if (unset === undefined) {
    process.stderr.write(`${PROGRAM}: this machine itself is a source that takes precedence over ${name}.\n`);
  }
  return { set, unset: unset ?? [] };
}

/** Exempts the emulator from the proxy. Clients use a proxy for workload identity, whose real endpoint is on the internet. */
function bypassProxy(source, env) {
  if (source !== "workload-identity" || !(env.HTTPS_PROXY || env.https_proxy)) return {};
  const name = env.no_proxy ? "no_proxy" : "NO_PROXY";
  return { [name]: [env[name], ADDRESS].filter(Boolean).join(",") };
}

function toAbsolute(directory) {
  return directory === undefined || isAbsolute(directory) ? directory : resolve(directory);
}

/** Converts "app-service" to "AppService". */
function toPascalCase(source) {
  return source.replace(/(?:^|-)(.)/g, (_, letter) => letter.toUpperCase());
}

module.exports = {
  clientVariables,
  parseEmulatorOptions,
  sources: Object.keys(SOURCES),
  startEmulatorEndpoint,
};
