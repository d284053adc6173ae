"use strict";

// `token`: prints an access token for a script. Only the token goes to stdout; errors go to stderr.

const { ManagedIdentityError } = require("../lib/index.js");
const { readClaims } = require("./claims.js");
const { redactSecrets } = require("./environment.js");
const { UsageError } = require("./errors.js");
const { EXIT, PROGRAM } = require("./exit-codes.js");
const { createApplication, identityOptions, timeoutOption } = require("./identity.js");
const { stripControlCharacters } = require("./terminal.js");

const options = {
  resource: {
    type: "string",
    value: "R",
    description: "resource of the token, such as https://vault.azure.net; required",
  },
  ...identityOptions,
  timeout: timeoutOption("120000"),
  claims: {
    type: "string",
    value: "JSON",
    description: "claims challenge that a service sent with a 401",
  },
  "force-refresh": {
    type: "boolean",
    description: "skip this package's cache, which is empty in a new process anyway",
  },
  output: {
    type: "string",
    value: "FORMAT",
    choices: ["text", "json"],
    default: "text",
    description: "output format",
  },
};

async function run(values) {
  if (values.resource === undefined) throw new UsageError("The option --resource is required.");
  const application = createApplication(values);
  const source = application.getManagedIdentitySource();
  try {
    const result = await application.acquireToken({
      resource: values.resource,
      claims: values.claims,
      forceRefresh: values["force-refresh"],
    });
    process.stdout.write(`${FORMATTERS[values.output](result, source)}\n`);
    return EXIT.success;
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    process.stderr.write(`${PROGRAM}: ${redactSecrets(stripControlCharacters(error.message))}\n`);
    return EXIT.failure;
  }
}

const FORMATTERS = {
  text: ({ accessToken }) => accessToken,
  json: (result, source) => JSON.stringify(toAzureCliFields(result, source), undefined, 2),
};

/** Returns the fields that `az account get-access-token` prints, followed by this package's own. */
function toAzureCliFields({ accessToken, expiresOn, refreshOn, scopes, tokenType }, source) {
  return {
    accessToken,
    expiresOn: expiresOn.toISOString(),
    expires_on: Math.floor(expiresOn.getTime() / 1000),
    tenant: readClaims(accessToken)?.tid ?? null,
    tokenType,
    resource: scopes[0],
    source,
    refreshOn: refreshOn?.toISOString() ?? null,
  };
}

module.exports = {
  usage: ["--resource R [options]"],
  options,
  notes: ["Exit codes: 0 a token was printed; 1 no token was acquired; 2 the command line is invalid."],
  run,
};
