"use strict";

// `doctor`: finds out where tokens come from here, whether they come, whose they are, and what to do if they do not.
// It gathers the facts; report.js prints them. The package decides everything, the doctor only asks.

const { ManagedIdentityError, version } = require("../index.js");
const { adviceOn, adviceOnAbsence } = require("./advice.js");
const { claimsOf } = require("./claims.js");
const { nearlySources } = require("./detection.js");
const { variables, withoutSecrets } = require("./environment.js");
const { failureOf } = require("./failure.js");
const { identityOf, identityOptions, openApplication } = require("./identity.js");
const { render } = require("./report.js");
const { EXIT } = require("./words.js");

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
  const facts = {
    format: FORMAT,
    version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    source: application.getManagedIdentitySource(),
    variables: variables(application),
    identity: identityOf(values),
    resource: values.resource,
  };
  const { available, reason } = await application.isAvailable({ timeout: values.timeout });
  const endpoint = { available, reason: reason ?? null };
  if (!available) {
    const nearly = facts.source === "DefaultToImds" ? nearlySources(application) : [];
    const advice = adviceOnAbsence(facts.source, nearly);
    return { ...facts, endpoint, token: null, error: null, advice, exitCode: EXIT.unavailable };
  }
  return { ...facts, endpoint, ...(await tryToken(application, values)) };
}

async function tryToken(application, { resource }) {
  try {
    const result = await application.acquireToken(resource);
    const token = describe(result, Date.now());
    return { token, error: null, advice: adviceOnToken(token, Date.now()), exitCode: EXIT.done };
  } catch (thrown) {
    if (!(thrown instanceof ManagedIdentityError)) throw thrown;
    const error = failureOf(thrown);
    return { token: null, error, advice: adviceOn(error), exitCode: EXIT.failed };
  }
}

/** All about a token but the token. */
function describe({ accessToken, expiresOn, refreshOn }, now) {
  return {
    expiresOn: expiresOn.toISOString(),
    refreshOn: refreshOn?.toISOString() ?? null,
    secondsLeft: Math.floor((expiresOn.getTime() - now) / 1000),
    claims: claimsOf(accessToken),
  };
}

/** A token that is not valid yet means that this machine's clock is slow: Entra dates it back by five minutes. */
function adviceOnToken({ claims }, now) {
  if (!(claims?.nbf * 1000 > now)) return [];
  return ["The token is not valid yet by this machine's clock, which is slow: set it by a time server."];
}

module.exports = {
  summary: "find out where tokens come from here, and why they do not",
  usage: ["[options]"],
  options,
  notes: [
    "Exit codes: 0 a token came; 1 none came; 2 the command line makes no sense; 3 no managed identity answers here.",
  ],
  run,
};
