"use strict";

// From the options of `emulator` to a running endpoint and the variables that lead to it. It must not know who is
// given them.

const { isAbsolute, join, resolve } = require("node:path");
const { shown } = require("./arguments.js");
const emulator = require("../emulator/index.js");
const { ManagedIdentityApplication, ManagedIdentitySourceNames } = require("../lib/index.js");
const { Complaint, UsageError } = require("./complaint.js");
const { rivals } = require("./detection.js");
const { plain } = require("./terminal.js");
const { NAME } = require("./words.js");

/** The sources by the names that getManagedIdentitySource() has for them, and by the emulator's own. */
const SOURCES = Object.fromEntries(emulator.sources.map((source) => [inCapitals(source), source]));
const ARC = "AzureArc";
const IMDS = "Imds";
/** How the emulator begins when it does not like an option. */
const OPTIONS_REFUSED = /^(?:startEmulator|azureCliTokens): (?:"(\w+)")?/;
/** The command line's names for the emulator's options. */
const OPTIONS = { lifetimeSeconds: "lifetime", tenantId: "tenant-id", tokensDirectory: "tokens-directory" };
const ADDRESS = "127.0.0.1";

/** Where the agent puts its key files: a client reads them from nowhere else. */
function agentsDirectory({ platform, env } = process) {
  if (platform === "linux") return "/var/opt/azcmagent/tokens";
  if (platform === "win32" && env.ProgramData)
    return join(env.ProgramData, "AzureConnectedMachineAgent", "Tokens");
  return undefined;
}

/** What to play, as plain data that another process can be sent. */
function settingsFrom(values) {
  const { source, "tokens-directory": directory, "tenant-id": tenantId } = values;
  if (directory !== undefined && source !== ARC) {
    throw new UsageError(`--tokens-directory is for --source ${ARC} only.`);
  }
  return {
    source: SOURCES[source],
    port: values.port,
    lifetimeSeconds: values.lifetime,
    tenantId,
    tokensDirectory: source === ARC ? resolved(directory ?? agentsDirectory()) : undefined,
    azureCli: values.tokens === "azure-cli",
    // The developer's token does not depend on an id, and the service's own configuration has one.
    anyIdentity: values["any-identity"] === true || values.tokens === "azure-cli",
  };
}

/** A running endpoint. */
async function play({ azureCli, ...options }) {
  try {
    const { tenantId } = options;
    const tokens = azureCli ? emulator.azureCliTokens({ tenantId }) : undefined;
    return await emulator.startEmulator({ ...options, tokens, onUnknownIdentity: hints() });
  } catch (error) {
    if (OPTIONS_REFUSED.test(error.message)) {
      const message = error.message.replace(OPTIONS_REFUSED, (_, name) => `--${OPTIONS[name] ?? name}`);
      throw new UsageError(message, { cause: error });
    }
    throw new Complaint(`The emulator cannot start: ${error.message}.${remedy(error, options)}`, {
      cause: error,
    });
  }
}

/** A function that says of an identity which is refused what lets it in; once for each, and of a hundred at most. */
function hints() {
  const told = new Set();
  return (id) => {
    if (told.has(id) || told.size === 100) return;
    told.add(id);
    process.stderr.write(
      `${NAME}: the emulator has no user-assigned identity ${shown(plain(id))}, and refuses it; with --any-identity it ` +
        "takes every id.\n",
    );
  };
}

function remedy({ code }, { tokensDirectory }) {
  if (code === "EADDRINUSE") return " Leave --port out, and a free one is taken.";
  if (tokensDirectory === undefined) return "";
  return (
    ` Azure Arc's clients read keys from ${agentsDirectory()} only: run this as root in a container, or make the ` +
    "directory and give it to your user."
  );
}

/**
 * `{ set, unset }`: the variables that make of this environment the one of the host that is played, and the names
 * of those in it that would lead elsewhere.
 */
function variablesFor({ env: own, source }, env = process.env) {
  const set = { ...own, ...pastTheProxy(source, env) };
  const name = inCapitals(source);
  const wanted = name === IMDS ? ManagedIdentitySourceNames.DEFAULT_TO_IMDS : name;
  const unset = rivals(new ManagedIdentityApplication(), set, wanted);
  if (unset === undefined) {
    process.stderr.write(`${NAME}: this machine itself is another source, which comes before ${name}.\n`);
  }
  return { set, unset: unset ?? [] };
}

/** Workload identity's endpoint is on the internet as a rule, so that clients go through a proxy to it. */
function pastTheProxy(source, env) {
  if (source !== "workload-identity" || !(env.HTTPS_PROXY || env.https_proxy)) return {};
  const name = env.no_proxy ? "no_proxy" : "NO_PROXY";
  return { [name]: [env[name], ADDRESS].filter(Boolean).join(",") };
}

function resolved(directory) {
  return directory === undefined || isAbsolute(directory) ? directory : resolve(directory);
}

/** "app-service" as "AppService". */
function inCapitals(source) {
  return source.replace(/(?:^|-)(.)/g, (_, letter) => letter.toUpperCase());
}

module.exports = { play, settingsFrom, sources: Object.keys(SOURCES), variablesFor };
