// `doctor`: reports the source of tokens, whether a token can be acquired and for which identity, and what to do if it
// cannot. This file collects the facts with the package's public API; format-report.ts formats them.

import { type ManagedIdentityApplication, ManagedIdentityError, version } from "managed-identity-native";
import { type AcquiredToken, toAcquiredToken } from "./acquired-token.js";
import { adviceForEnvironment, adviceForError, adviceForUnreachable } from "./advice.js";
import { readClaims } from "./claims.js";
import type { DoctorReport, TokenFacts } from "./doctor-report.js";
import { relevantVariables } from "./environment.js";
import { EXIT } from "./exit-codes.js";
import { nearMissSources } from "./explain-source.js";
import { formatReport } from "./format-report.js";
import {
  createApplication,
  describeIdentity,
  environmentIdentity,
  identityOptions,
  selectedIdentityOption,
  timeoutOption,
} from "./identity.js";
import type { Command, OptionTable, Values } from "./options.js";
import { redactSecrets } from "./redact-secrets.js";
import { type SerializedError, serializeError } from "./serialize-error.js";

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
} as const satisfies OptionTable;

type DoctorValues = Values<typeof options>;

export const doctor: Command<typeof options> = {
  usage: ["[options]"],
  options,
  notes: [
    "Exit codes: 0 a token was acquired; 1 no token was acquired; 2 the command line is invalid; 3 no managed identity endpoint responds.",
  ],
  run,
};

async function run(values: DoctorValues): Promise<number> {
  const report = redactSecrets(await diagnose(createApplication(values), values));
  process.stdout.write(
    values.json ? `${JSON.stringify(report, undefined, 2)}\n` : formatReport(report, process.stdout),
  );
  return report.exitCode;
}

async function diagnose(
  application: ManagedIdentityApplication,
  values: DoctorValues,
): Promise<DoctorReport> {
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
  const { available, reason = null } = await application.isAvailable({ timeout });
  const endpoint = { available, reason };
  // If the probe fails, a single request shows which error a program would receive. Retries would not show more.
  const requester = available ? application : createApplication(values, { disableInternalRetries: true });
  const { token, error } = await requestToken(requester, values.resource);
  const identityOption = selectedIdentityOption(values);
  const environmentAdvice =
    identityOption === undefined ? adviceForEnvironment(environmentIdentity(source)) : [];
  const finish = (advice: readonly string[], exitCode: number) => ({
    ...facts,
    endpoint,
    token,
    error,
    advice,
    exitCode,
  });
  if (error === null) {
    return finish([...adviceForToken(token, Date.now()), ...environmentAdvice], EXIT.success);
  }
  if (available || !isUnreachable(source, error)) {
    return finish([...environmentAdvice, ...adviceForError(error, { source, identityOption })], EXIT.failure);
  }
  const nearMisses = source === "DefaultToImds" ? nearMissSources(application) : [];
  const unreachableAdvice = adviceForUnreachable(source, nearMisses, process.env);
  return finish([...unreachableAdvice, ...environmentAdvice], EXIT.unavailable);
}

/** Whether the error means that no managed identity endpoint responds. */
function isUnreachable(source: string, { errorCode }: SerializedError): boolean {
  if (UNREACHABLE_CODES.includes(errorCode)) return true;
  // Another server than IMDS responds at the default address of IMDS; `endpoint.reason` describes it.
  const isConfigured = Boolean(process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST);
  return source === "DefaultToImds" && !isConfigured && errorCode === "managed_identity_failed_response";
}

type TokenOutcome =
  | { readonly token: TokenFacts; readonly error: null }
  | { readonly token: null; readonly error: SerializedError };

async function requestToken(
  application: ManagedIdentityApplication,
  resource: string,
): Promise<TokenOutcome> {
  try {
    const result = await application.acquireToken(resource);
    return { token: describeToken(toAcquiredToken(result), Date.now()), error: null };
  } catch (error) {
    if (!(error instanceof ManagedIdentityError)) throw error;
    return { token: null, error: serializeError(error) };
  }
}

function describeToken(
  { accessToken, expiresOn, refreshOn, metadata }: AcquiredToken,
  now: number,
): TokenFacts {
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
function adviceForToken({ claims }: TokenFacts, now: number): readonly string[] {
  if (!(Number(claims?.nbf) * 1000 > now)) return [];
  return [
    "The token is not valid yet by this machine's clock, which is slow: synchronize it with a time server.",
  ];
}
