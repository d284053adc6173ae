"use strict";

// `token`: a token for a script. Nothing but the token ever goes to stdout; what is wrong goes to stderr.

const { ManagedIdentityError } = require("../lib/index.js");
const { claimsOf } = require("./claims.js");
const { UsageError } = require("./complaint.js");
const { withoutSecrets } = require("./environment.js");
const { identityOptions, openApplication, timeoutOption } = require("./identity.js");
const { plain } = require("./terminal.js");
const { EXIT, NAME } = require("./words.js");

const options = {
  resource: {
    type: "string",
    value: "R",
    says: "what the token is for, such as https://vault.azure.net; needed",
  },
  ...identityOptions,
  timeout: timeoutOption("120000"),
  claims: {
    type: "string",
    value: "JSON",
    says: "a claims challenge, which a service sent along with a 401",
  },
  "force-refresh": {
    type: "boolean",
    says: "skip this package's cache, which a new process has empty anyway",
  },
  output: {
    type: "string",
    value: "FORMAT",
    choices: ["text", "json"],
    default: "text",
    says: "how to print it",
  },
};

async function run(values) {
  if (values.resource === undefined) throw new UsageError("--resource is missing: what is the token for?");
  const application = openApplication(values);
  const source = application.getManagedIdentitySource();
  try {
    const result = await application.acquireToken({
      resource: values.resource,
      claims: values.claims,
      forceRefresh: values["force-refresh"],
    });
    process.stdout.write(`${PRINT[values.output](result, source)}\n`);
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    process.stderr.write(`${NAME}: ${withoutSecrets(plain(error.message))}\n`);
    return EXIT.failed;
  }
}

const PRINT = {
  text: ({ accessToken }) => accessToken,
  json: (result, source) => JSON.stringify(asAzureCli(result, source), undefined, 2),
};

/** The fields that `az account get-access-token` prints, and ours behind them. */
function asAzureCli({ accessToken, expiresOn, refreshOn, scopes, tokenType }, source) {
  return {
    accessToken,
    expiresOn: expiresOn.toISOString(),
    expires_on: Math.floor(expiresOn.getTime() / 1000),
    tenant: claimsOf(accessToken)?.tid ?? null,
    tokenType,
    resource: scopes[0],
    source,
    refreshOn: refreshOn?.toISOString() ?? null,
  };
}

module.exports = {
  usage: ["--resource R [options]"],
  options,
  notes: ["Exit codes: 0 a token was printed; 1 there is none; 2 the command line makes no sense."],
  run,
};
