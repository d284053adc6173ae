// `doctor`: reports the source of tokens, whether a token can be acquired and for which identity, and what to do if it
// cannot. This file collects the facts with the package's public API; format-report.ts formats them.

import { type ManagedIdentityApplication, ManagedIdentityError, version } from "managed-identity-native";
import { type AcquiredToken, toAcquiredToken } from "./acquired-token.js";
import { adviceForEnvironment, adviceForError, adviceForUnreachable } from "./advice.js";
import { readClaims } from "./claims.js";
import type { DoctorReport, TokenFacts } from "./doctor-report.js";
import { relevantVariables } from "./environment.js";
import { UsageError } from "./errors.js";
import { EXIT } from "./exit-codes.js";
import { nearMissSources } from "./explain-source.js";
import { formatProbe, formatReport } from "./format-report.js";
import {
  createApplication,
  describeIdentity,
  environmentIdentity,
  identityOptions,
  selectedIdentityOption,
  sourceOptions,
  timeoutOption,
} from "./identity.js";
import type { Command, OptionTable, Values } from "./options.js";
import { redactSecrets } from "./redact-secrets.js";
import { type SerializedError, serializeError } from "./serialize-error.js";
import {
  adviceForService,
  checkService,
  parseServiceTarget,
  type ServiceReport,
  type ServiceTarget,
} from "./service-check.js";

/** The codes for an endpoint that does not respond. Other codes are about the options or the variables. */
const UNREACHABLE_CODES = ["managed_identity_unreachable_network", "network_unavailable"];
/** Longer than the default of isAvailable(), because the doctor should not misjudge a slow endpoint. */
const PROBE_TIMEOUT_MS = 5_000;
/** The version of the `--json` format. It changes only when a field is renamed or removed. */
const FORMAT = 1;

const DEFAULT_RESOURCE = "https://management.azure.com";

const options = {
  resource: {
    type: "string",
    value: "R",
    description: `resource of the token; default: that of --for, or ${DEFAULT_RESOURCE}`,
  },
  ...identityOptions,
  ...sourceOptions,
  for: {
    type: "string",
    value: "URL",
    description:
      "a service, such as https://my-vault.vault.azure.net: acquire a token for it, and send it one request with the token",
  },
  probe: {
    type: "boolean",
    description:
      "only find out whether the endpoint responds, without a token; for the health check of a container",
  },
  timeout: timeoutOption("5000 for the probe and 120000 for the token"),
  json: { type: "boolean", description: "print one JSON object" },
} as const satisfies OptionTable;

type DoctorValues = Values<typeof options>;

export const doctor: Command<typeof options> = {
  usage: ["[options]"],
  options,
  notes: [
    "Exit codes: 0 a token was acquired; 1 no token was acquired; 2 the command line is invalid; 3 no managed identity endpoint responds.",
    "With --for: 1 also if the service does not accept the token. With --probe: 0 the endpoint responds; 1 it does not.",
  ],
  run,
};

async function run(values: DoctorValues): Promise<number> {
  if (values.probe && values.for !== undefined) throw new UsageError("--probe and --for cannot be combined.");
  const target = values.for === undefined ? undefined : parseServiceTarget(values.for, values.resource);
  const application = createApplication(values);
  const report = values.probe
    ? redactSecrets(await probe(application, values))
    : await diagnose(application, values, target);
  process.stdout.write(formatOutput(report, values));
  return report.exitCode;
}

function formatOutput(report: DoctorReport, { json, probe: isProbe }: DoctorValues): string {
  if (json) return `${JSON.stringify(report, undefined, 2)}\n`;
  return isProbe ? formatProbe(report, process.stdout) : formatReport(report, process.stdout);
}

/** Finds out whether the endpoint responds. */
async function probe(application: ManagedIdentityApplication, values: DoctorValues): Promise<DoctorReport> {
  const facts = collectFacts(application, values, values.resource ?? DEFAULT_RESOURCE);
  const endpoint = await probeEndpoint(application, values);
  return {
    ...facts,
    endpoint,
    token: null,
    error: null,
    service: null,
    advice: endpoint.available ? [] : unreachableAdvice(application, facts.source),
    exitCode: endpoint.available ? EXIT.success : EXIT.failure,
  };
}

async function diagnose(
  application: ManagedIdentityApplication,
  values: DoctorValues,
  target: ServiceTarget | undefined,
): Promise<DoctorReport> {
  const resource = target?.resource ?? values.resource ?? DEFAULT_RESOURCE;
  const facts = collectFacts(application, values, resource);
  const { source } = facts;
  const endpoint = await probeEndpoint(application, values);
  const { available } = endpoint;
  // If the probe fails, a single request shows which error a program would receive. Retries would not show more.
  const requester = available ? application : createApplication(values, { disableInternalRetries: true });
  const { token, error, accessToken } = await requestToken(requester, resource);
  const identityOption = selectedIdentityOption(values);
  const environmentAdvice =
    identityOption === undefined ? adviceForEnvironment(environmentIdentity(source)) : [];
  const finish = (advice: readonly string[], exitCode: number, service: ServiceReport | null = null) =>
    redactSecrets({ ...facts, endpoint, token, error, service, advice, exitCode }, [accessToken ?? ""]);
  if (error === null) {
    const advice = adviceForToken(token, Date.now());
    if (target === undefined) return finish([...advice, ...environmentAdvice], EXIT.success);
    const service = await checkService(target, accessToken, values.timeout);
    const serviceAdvice = adviceForService(service, target, { resource, claims: token.claims });
    const isChecked = service.status !== null || service.fault !== null;
    const exitCode = service.accepted || !isChecked ? EXIT.success : EXIT.failure;
    return finish([...advice, ...serviceAdvice, ...environmentAdvice], exitCode, service);
  }
  if (available || !isUnreachable(source, error)) {
    return finish([...environmentAdvice, ...adviceForError(error, { source, identityOption })], EXIT.failure);
  }
  return finish([...unreachableAdvice(application, source), ...environmentAdvice], EXIT.unavailable);
}

function collectFacts(application: ManagedIdentityApplication, values: DoctorValues, resource: string) {
  const source = application.getManagedIdentitySource();
  return {
    format: FORMAT,
    version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    source,
    sourceOption: values.source ?? null,
    variables: relevantVariables(application),
    identity: describeIdentity(values, source),
    resource,
  };
}

async function probeEndpoint(
  application: ManagedIdentityApplication,
  values: DoctorValues,
): Promise<DoctorReport["endpoint"]> {
  const timeout = values.timeout ?? PROBE_TIMEOUT_MS;
  const { available, reason = null } = await application.isAvailable({ timeout });
  return { available, reason };
}

function unreachableAdvice(application: ManagedIdentityApplication, source: string): readonly string[] {
  const nearMisses = source === "DefaultToImds" ? nearMissSources(application) : [];
  return adviceForUnreachable(source, nearMisses, process.env);
}

/** Whether the error means that no managed identity endpoint responds. */
function isUnreachable(source: string, { errorCode }: SerializedError): boolean {
  if (UNREACHABLE_CODES.includes(errorCode)) return true;
  // Another server than IMDS responds at the default address of IMDS; `endpoint.reason` describes it.
  const isConfigured = Boolean(process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST);
  return source === "DefaultToImds" && !isConfigured && errorCode === "managed_identity_failed_response";
}

type TokenOutcome =
  | { readonly token: TokenFacts; readonly error: null; readonly accessToken: string }
  | { readonly token: null; readonly error: SerializedError; readonly accessToken?: undefined };

async function requestToken(
  application: ManagedIdentityApplication,
  resource: string,
): Promise<TokenOutcome> {
  try {
    const result = await application.acquireToken(resource);
    const { accessToken } = result;
    return { token: describeToken(toAcquiredToken(result), Date.now()), error: null, accessToken };
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
