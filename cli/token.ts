// `token`: prints an access token for a script. Only the token goes to stdout; errors go to stderr.

import { ManagedIdentityError } from "managed-identity-native";
import { type AcquiredToken, toAcquiredToken } from "./acquired-token.js";
import { readClaims } from "./claims.js";
import { formatVariables } from "./env-formats.js";
import { UsageError } from "./errors.js";
import { EXIT } from "./exit-codes.js";
import { createApplication, identityOptions, sourceOptions, timeoutOption } from "./identity.js";
import { printMessage } from "./messages.js";
import { omitUndefined } from "./omit-undefined.js";
import type { Command, OptionTable, Values } from "./options.js";
import { redactSecrets } from "./redact-secrets.js";
import { stripControlCharacters } from "./terminal.js";

const TOKEN_VARIABLE = "AZURE_ACCESS_TOKEN";
/** In seconds since 1970. */
const EXPIRY_VARIABLE = "AZURE_ACCESS_TOKEN_EXPIRES_ON";

const options = {
  resource: {
    type: "string",
    value: "R",
    description: "resource of the token, such as https://vault.azure.net; required unless --scope is given",
  },
  scope: {
    type: "string",
    value: "S",
    description: "scope of the token, in place of --resource, such as https://vault.azure.net/.default",
  },
  ...identityOptions,
  ...sourceOptions,
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
    short: "o",
    value: "FORMAT",
    choices: ["text", "json", "token", "env"],
    default: "text",
    description: `output format: the token (text or token), an object, or ${TOKEN_VARIABLE} and ${EXPIRY_VARIABLE} as lines of an environment file`,
  },
} as const satisfies OptionTable;

export const token: Command<typeof options> = {
  usage: ["--resource R [options]", "--scope S [options]"],
  options,
  notes: ["Exit codes: 0 a token was printed; 1 no token was acquired; 2 the command line is invalid."],
  run,
};

async function run(values: Values<typeof options>): Promise<number> {
  const { claims, "force-refresh": forceRefresh, output, resource, scope } = values;
  if (resource === undefined && scope === undefined) {
    throw new UsageError("One of the options --resource and --scope is required.");
  }
  if (resource !== undefined && scope !== undefined) {
    throw new UsageError("--resource and --scope cannot be combined.");
  }
  const target = resource === undefined ? { scopes: [scope ?? ""] } : { resource };
  const application = createApplication(values);
  const source = application.getManagedIdentitySource();
  try {
    const result = await application.acquireToken(omitUndefined({ ...target, claims, forceRefresh }));
    process.stdout.write(formatToken(output, toAcquiredToken(result), source));
    return EXIT.success;
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    printMessage(redactSecrets(stripControlCharacters(error.message)));
    return EXIT.failure;
  }
}

function formatToken(output: string, token: AcquiredToken, source: string): string {
  if (output === "json") return `${formatJson(token, source)}\n`;
  if (output !== "env") return `${token.accessToken}\n`;
  const variables = { [TOKEN_VARIABLE]: token.accessToken, [EXPIRY_VARIABLE]: String(unixSeconds(token)) };
  return formatVariables("dotenv", variables, []);
}

function unixSeconds({ expiresOn }: AcquiredToken): number {
  return Math.floor(expiresOn.getTime() / 1000);
}

/** Returns the fields that `az account get-access-token` prints, followed by this package's own. */
function formatJson(token: AcquiredToken, source: string): string {
  const { accessToken, expiresOn, refreshOn, scopes, tokenType } = token;
  const fields = {
    accessToken,
    expiresOn: expiresOn.toISOString(),
    expires_on: unixSeconds(token),
    tenant: readClaims(accessToken)?.tid ?? null,
    tokenType,
    resource: scopes[0],
    source,
    refreshOn: refreshOn?.toISOString() ?? null,
  };
  return JSON.stringify(fields, undefined, 2);
}
