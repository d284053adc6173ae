"use strict";

// `doctor`: reports the source of tokens, whether a token can be acquired and for which identity, and what to do if it
// cannot. This file collects the facts with the package's public API; report.js formats them.

const { ManagedIdentityError, version } = require("../lib/index.js");
const { adviceForEnvironment, adviceForError, adviceForUnreachable } = require("./advice.js");
const { readClaims } = require("./claims.js");
const { redactSecrets, relevantVariables } = require("./environment.js");
const { EXIT } = require("./exit-codes.js");
const { nearMissSources } = require("./explain-source.js");
const {
  createApplication,
  describeIdentity,
  environmentIdentity,
  identityOptions,
  selectedIdentityOption,
  timeoutOption,
} = require("./identity.js");
const { formatReport } = require("./report.js");
const { serializeError } = require("./serialize-error.js");

/** The codes for an endpoint that does not respond. Other codes are about the options or the variables. */
const UNREACHABLE_CODES = ["managed_identity_unreachable_network", "network_unavailable"];
/** Longer than the default of isAvailable(), because the doctor should not misjudge a slow endpoint. */
const PROBE_TIMEOUT_MS = 5_000;
/** The version of the `--json` format. It changes only when a field is renamed or removed. */
const FORMAT = 1;

const options = {
  resource: {
    type: "string",
    value: "R",
    default: "https://management.azure.com",
    description: "resource of the token",
  },
  ...identityOptions,
  timeout: timeoutOption("5000 for the probe and 120000 for the token"),
  json: { type: "boolean", description: "print one JSON object" },
};

async function run(values) {
  const report = redactSecrets(await diagnose(createApplication(values), values));
  process.stdout.write(
    values.json ? `${JSON.stringify(report, undefined, 2)}\n` : formatReport(report, process.stdout),
  );
  return report.exitCode;
}

async function diagnose(application, values) {
  const source = application.getManagedIdentitySource();
  const facts = {
    format: FORMAT,
    version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    source,
    variables: relevantVariables(application),
    identity: describeIdentity(values, source),
    resource: values.resource,
  };
  const timeout = values.timeout ?? PROBE_TIMEOUT_MS;
  const { available, reason } = await application.isAvailable({ timeout });
  const endpoint = { available, reason: reason ?? null };
  // If the probe fails, a single request shows which error a program would receive. Retries would not show more.
  const requester = available ? application : createApplication(values, { disableInternalRetries: true });
  const { token, error } = await requestToken(requester, values);
  const identityOption = selectedIdentityOption(values);
  const environmentAdvice =
    identityOption === undefined ? adviceForEnvironment(environmentIdentity(source)) : [];
  const finish = (advice, exitCode) => ({ ...facts, endpoint, token, error, advice, exitCode });
  if (token !== null) {
    return finish([...adviceForToken(token, Date.now()), ...environmentAdvice], EXIT.success);
  }
  const isReachable =
    available || !(UNREACHABLE_CODES.includes(error.errorCode) || isOtherServer(source, error));
  if (isReachable) {
    return finish([...environmentAdvice, ...adviceForError(error, { source, identityOption })], EXIT.failure);
  }
  const nearMisses = source === "DefaultToImds" ? nearMissSources(application) : [];
  const unreachableAdvice = adviceForUnreachable(source, nearMisses, process.env);
  return finish([...unreachableAdvice, ...environmentAdvice], EXIT.unavailable);
}

/** Whether another server than IMDS responds at the default address of IMDS; `endpoint.reason` describes it. */
function isOtherServer(source, { errorCode }) {
  const isConfigured = Boolean(process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST);
  return source === "DefaultToImds" && !isConfigured && errorCode === "managed_identity_failed_response";
}

async function requestToken(application, { resource }) {
  try {
    const result = await application.acquireToken(resource);
    return { token: describeToken(result, Date.now()), error: null };
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    return { token: null, error: serializeError(error) };
  }
}

/** Returns the facts about a token, without the token itself. */
function describeToken({ accessToken, expiresOn, refreshOn, metadata }, now) {
  return {
    tokenEndpoint: metadata.tokenEndpoint,
    attempts: metadata.attempts,
    durationInMs: Math.round(metadata.durationTotalInMs),
    expiresOn: expiresOn.toISOString(),
    refreshOn: refreshOn?.toISOString() ?? null,
    secondsLeft: Math.floor((expiresOn.getTime() - now) / 1000),
    claims: redactSecrets(readClaims(accessToken), [accessToken]),
  };
}

/** Entra dates a token back by five minutes, so a token that is not valid yet means that this machine's clock is slow. */
function adviceForToken({ claims }, now) {
  if (!(claims?.nbf * 1000 > now)) return [];
  return [
    "The token is not valid yet by this machine's clock, which is slow: synchronize it with a time server.",
  ];
}

module.exports = {
  usage: ["[options]"],
  options,
  notes: [
    "Exit codes: 0 a token was acquired; 1 no token was acquired; 2 the command line is invalid; 3 no managed identity endpoint responds.",
  ],
  run,
};
