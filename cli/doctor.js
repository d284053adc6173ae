"use strict";

// `doctor`: finds out where tokens come from here, whether they come, whose they are, and what to do if they do not.
// It gathers the facts; report.js prints them. The package decides everything, the doctor only asks.

const { ManagedIdentityError, version } = require("../lib/index.js");
const { adviceOn, adviceOnAbsence, adviceOnEnvironment } = require("./advice.js");
const { claimsOf } = require("./claims.js");
const { nearlySources } = require("./detection.js");
const { variables, withoutSecrets } = require("./environment.js");
const { failureOf } = require("./failure.js");
const {
  identityOf,
  identityOptions,
  kindGiven,
  namedByEnvironment,
  openApplication,
  timeoutOption,
} = require("./identity.js");
const { render } = require("./report.js");
const { EXIT } = require("./words.js");

/** What an error says of an endpoint that is not there; any other is about the options or the variables. */
const UNREACHABLE_CODES = ["managed_identity_unreachable_network", "network_unavailable"];
/** Longer than a program would wait for a probe: who calls a doctor wants to know for certain. */
const PATIENCE_MS = 5_000;
/** The shape of `--json`; it changes only when a field is renamed or removed. */
const FORMAT = 1;

const options = {
  resource: {
    type: "string",
    value: "R",
    default: "https://management.azure.com",
    says: "what the token is for",
  },
  ...identityOptions,
  timeout: timeoutOption("5000 for the probe and 120000 for the token"),
  json: { type: "boolean", says: "print one JSON object" },
};

async function run(values) {
  const report = withoutSecrets(await examine(openApplication(values), values));
  process.stdout.write(
    values.json ? `${JSON.stringify(report, undefined, 2)}\n` : render(report, process.stdout),
  );
  return report.exitCode;
}

async function examine(application, values) {
  const source = application.getManagedIdentitySource();
  const facts = {
    format: FORMAT,
    version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    source,
    variables: variables(application),
    identity: identityOf(values, source),
    resource: values.resource,
  };
  const { available, reason } = await application.isAvailable({ timeout: values.timeout ?? PATIENCE_MS });
  const endpoint = { available, reason: reason ?? null };
  // Where nobody answers, one request more tells which error a program would meet; more of them tell no more.
  const asking = available ? application : openApplication(values, { disableInternalRetries: true });
  const { token, error } = await tryToken(asking, values);
  const kind = kindGiven(values);
  const other = kind === undefined ? adviceOnEnvironment(namedByEnvironment(source)) : [];
  const outcome = (advice, exitCode) => ({ ...facts, endpoint, token, error, advice, exitCode });
  if (token !== null) return outcome([...adviceOnToken(token, Date.now()), ...other], EXIT.done);
  if (available || !(UNREACHABLE_CODES.includes(error.errorCode) || isForeign(source, error))) {
    return outcome([...other, ...adviceOn(error, { source, kind })], EXIT.failed);
  }
  const nearly = source === "DefaultToImds" ? nearlySources(application) : [];
  return outcome([...adviceOnAbsence(source, nearly, process.env), ...other], EXIT.unavailable);
}

/** Whether something other than IMDS answers at its default address; `endpoint.reason` says what. */
function isForeign(source, { errorCode }) {
  const isConfigured = Boolean(process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST);
  return source === "DefaultToImds" && !isConfigured && errorCode === "managed_identity_failed_response";
}

async function tryToken(application, { resource }) {
  try {
    const result = await application.acquireToken(resource);
    return { token: describe(result, Date.now()), error: null };
  } catch (thrown) {
    if (!(thrown instanceof ManagedIdentityError)) throw thrown;
    return { token: null, error: failureOf(thrown) };
  }
}

/** All about a token but the token. */
function describe({ accessToken, expiresOn, refreshOn, metadata }, now) {
  return {
    tokenEndpoint: metadata.tokenEndpoint,
    attempts: metadata.attempts,
    durationInMs: Math.round(metadata.durationTotalInMs),
    expiresOn: expiresOn.toISOString(),
    refreshOn: refreshOn?.toISOString() ?? null,
    secondsLeft: Math.floor((expiresOn.getTime() - now) / 1000),
    claims: withoutSecrets(claimsOf(accessToken), [accessToken]),
  };
}

/** A token that is not valid yet means that this machine's clock is slow: Entra dates it back by five minutes. */
function adviceOnToken({ claims }, now) {
  if (!(claims?.nbf * 1000 > now)) return [];
  return ["The token is not valid yet by this machine's clock, which is slow: set it by a time server."];
}

module.exports = {
  usage: ["[options]"],
  options,
  notes: [
    "Exit codes: 0 a token came; 1 none came; 2 the command line makes no sense; 3 no managed identity answers here.",
  ],
  run,
};
