// `token`: prints an access token for a script. Only the token goes to stdout; errors go to stderr.

import { ManagedIdentityError } from "managed-identity-native";
import { type AcquiredToken, toAcquiredToken } from "./acquired-token.js";
import { readClaims } from "./claims.js";
import { UsageError } from "./errors.js";
import { EXIT, PROGRAM } from "./exit-codes.js";
import { createApplication, identityOptions, timeoutOption } from "./identity.js";
import { omitUndefined } from "./omit-undefined.js";
import type { Command, OptionTable, Values } from "./options.js";
import { redactSecrets } from "./redact-secrets.js";
import { stripControlCharacters } from "./terminal.js";

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
} as const satisfies OptionTable;

export const token: Command<typeof options> = {
  usage: ["--resource R [options]"],
  options,
  notes: ["Exit codes: 0 a token was printed; 1 no token was acquired; 2 the command line is invalid."],
  run,
};

async function run(values: Values<typeof options>): Promise<number> {
  const { claims, "force-refresh": forceRefresh, output, resource } = values;
  if (resource === undefined) throw new UsageError("The option --resource is required.");
  const application = createApplication(values);
  const source = application.getManagedIdentitySource();
  try {
    const result = await application.acquireToken(omitUndefined({ resource, claims, forceRefresh }));
    process.stdout.write(
      `${output === "json" ? formatJson(toAcquiredToken(result), source) : result.accessToken}\n`,
    );
    return EXIT.success;
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    process.stderr.write(`${PROGRAM}: ${redactSecrets(stripControlCharacters(error.message))}\n`);
    return EXIT.failure;
  }
}

/** Returns the fields that `az account get-access-token` prints, followed by this package's own. */
function formatJson(
  { accessToken, expiresOn, refreshOn, scopes, tokenType }: AcquiredToken,
  source: string,
): string {
  const fields = {
    accessToken,
    expiresOn: expiresOn.toISOString(),
    expires_on: Math.floor(expiresOn.getTime() / 1000),
    tenant: readClaims(accessToken)?.tid ?? null,
    tokenType,
    resource: scopes[0],
    source,
    refreshOn: refreshOn?.toISOString() ?? null,
  };
  return JSON.stringify(fields, undefined, 2);
}
