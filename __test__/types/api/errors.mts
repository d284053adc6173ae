// Errors, codes, names and levels.

import {
  AuthError,
  CredentialUnavailableError,
  isManagedIdentityError,
  LogLevel,
  ManagedIdentityApplication,
  ManagedIdentityError,
  type ManagedIdentityErrorCode,
  ManagedIdentityErrorCodes,
  type ManagedIdentityErrorDetails,
  ManagedIdentitySourceNames,
  version,
} from "managed-identity-native";

const app = new ManagedIdentityApplication();

try {
  await app.acquireToken("https://vault.azure.net");
} catch (error) {
  if (error instanceof ManagedIdentityError) {
    const base: AuthError = error;
    const required: [string, string, string, string, string, string, string, boolean] = [
      error.name,
      error.code,
      error.errorCode,
      error.errorMessage,
      error.message,
      error.subError,
      error.correlationId,
      error.retryable,
    ];
    const optional: [
      number | undefined,
      ManagedIdentitySourceNames | undefined,
      string | undefined,
      number | undefined,
      number | undefined,
      unknown,
      number | undefined,
      number | string | undefined,
    ] = [
      error.statusCode,
      error.source,
      error.endpoint,
      error.attempts,
      error.retryAfterMs,
      error.cause,
      error.status,
      error.errorNo,
    ];
    console.log(base, required, optional, error.stack);
    switch (error.errorCode) {
      case ManagedIdentityErrorCodes.networkUnavailable:
      case ManagedIdentityErrorCodes.managedIdentityUnreachableNetwork:
      case ManagedIdentityErrorCodes.MsiEnvironmentVariableUrlMalformedErrorCodes.IDENTITY_ENDPOINT:
      case "SecretHeaderNotFound":
        break;
    }
    // @ts-expect-error absent unless an answer came
    error.statusCode.toFixed();
    // @ts-expect-error read-only
    error.retryable = true;
    // @ts-expect-error no such field
    error.token;
  }
}

// Both classes can be made by callers, as msal-node's can.
const made: Error = new AuthError("code", "correlation");
new AuthError("code", "correlation", "words");
new AuthError("code", "correlation", "words", "sub");
const fake: ManagedIdentityError = new ManagedIdentityError(
  ManagedIdentityErrorCodes.invalidResource,
  "correlation",
);
class ServiceError extends ManagedIdentityError {
  override name = "ServiceError";
}
new ServiceError("code", "correlation");
// With everything that an error can say, for tests; each detail may be absent.
const details: ManagedIdentityErrorDetails = {
  message: "words",
  statusCode: 429,
  errorNo: 70_021,
  retryable: true,
  source: "Imds",
  endpoint: "http://169.254.169.254/",
  attempts: 3,
  retryAfterMs: 1_000,
  subError: "finer",
  cause: new Error("underneath"),
};
new ManagedIdentityError("invalid_request", "correlation", details);
new ManagedIdentityError("invalid_request", "correlation", { statusCode: undefined });
new ManagedIdentityError("invalid_request", "correlation", null);
const unavailable: ManagedIdentityError = new CredentialUnavailableError("code", "correlation", details);
// @ts-expect-error no such detail
new ManagedIdentityError("code", "correlation", { token: "x" });
// @ts-expect-error a number
new ManagedIdentityError("code", "correlation", { statusCode: "429" });
// @ts-expect-error status follows statusCode
new ManagedIdentityError("code", "correlation", { status: 429 });
// @ts-expect-error a source
new ManagedIdentityError("code", "correlation", { source: "VirtualMachine" });

// Codes: editors complete the known ones, and any other string is one, too.
const known: ManagedIdentityErrorCode[] = [
  "invalid_configuration",
  "msi_endpoint_url_malformed",
  ManagedIdentityErrorCodes.missingId,
  "unauthorized_client",
  "SecretHeaderNotFound",
];
// @ts-expect-error not a known code
const unknown: ManagedIdentityErrorCode = "some_code";
declare const caught: unknown;
if (isManagedIdentityError(caught)) {
  const [code, errorCode]: [string, string] = [caught.code, caught.errorCode];
  const wait: number | undefined = caught.retryAfterMs;
  switch (caught.code) {
    case "invalid_grant":
    case "a_code_of_tomorrow":
      console.log(code, errorCode, wait);
  }
} else {
  // @ts-expect-error still unknown
  caught.code;
}

// @ts-expect-error a code is required
new AuthError();
// @ts-expect-error a correlation id is required
new ManagedIdentityError("code");
// @ts-expect-error the words belong to the code
new ManagedIdentityError("code", "correlation", "words");

// Codes are literals.
const codes: [
  "invalid_configuration",
  "invalid_server_thumbprint",
  "invalid_resource",
  "managed_identity_failed_response",
  "managed_identity_unreachable_network",
  "missing_client_id",
] = [
  ManagedIdentityErrorCodes.invalidConfiguration,
  ManagedIdentityErrorCodes.invalidServerThumbprint,
  ManagedIdentityErrorCodes.invalidResource,
  ManagedIdentityErrorCodes.managedIdentityFailedResponse,
  ManagedIdentityErrorCodes.managedIdentityUnreachableNetwork,
  ManagedIdentityErrorCodes.missingId,
];
// @ts-expect-error frozen
ManagedIdentityErrorCodes.missingId = "missing_client_id";
// @ts-expect-error frozen
ManagedIdentityErrorCodes.MsiEnvironmentVariableUrlMalformedErrorCodes.MSI_ENDPOINT = "";
// @ts-expect-error no such code
ManagedIdentityErrorCodes.missingClientId;

// A source is one of eight names, and a `switch` can cover them all.
function host(source: ManagedIdentitySourceNames): string {
  switch (source) {
    case ManagedIdentitySourceNames.APP_SERVICE:
      return "App Service";
    case ManagedIdentitySourceNames.AZURE_ARC:
      return "Arc";
    case ManagedIdentitySourceNames.CLOUD_SHELL:
      return "Cloud Shell";
    case ManagedIdentitySourceNames.DEFAULT_TO_IMDS:
    case ManagedIdentitySourceNames.IMDS:
      return "virtual machine";
    case ManagedIdentitySourceNames.MACHINE_LEARNING:
      return "Machine Learning";
    case ManagedIdentitySourceNames.SERVICE_FABRIC:
      return "Service Fabric";
    case ManagedIdentitySourceNames.WORKLOAD_IDENTITY:
      return "Kubernetes";
    default: {
      const none: never = source;
      return none;
    }
  }
}
host(app.getManagedIdentitySource());
host("Imds");
// @ts-expect-error no such source
host("VirtualMachine");
// @ts-expect-error frozen
ManagedIdentitySourceNames.IMDS = "Imds";

const level: LogLevel = LogLevel.Info;
const number: number = LogLevel.Trace;
const name: string | undefined = LogLevel[level];
const members: "Error" | "Warning" | "Info" | "Verbose" | "Trace" = "Info" satisfies keyof typeof LogLevel;
// @ts-expect-error no such level
LogLevel.Debug;
const major: string | undefined = version.split(".")[0];
// @ts-expect-error a string
version.major;

export { codes, fake, known, made, major, members, name, number, unavailable, unknown };
