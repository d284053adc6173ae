// The doctor's advice: what to check or which Azure command helps, by the error and the source.

import type { NearMiss } from "./explain-source.js";
import type { EnvironmentIdentity, IdentityOption } from "./identity.js";
import type { SerializedError } from "./serialize-error.js";

/** Texts by source or by error code. */
type Texts = Readonly<Record<string, string>>;

/** The fields of an error that determine the advice. */
type AdvisedError = Pick<SerializedError, "errorCode" | "errorMessage" | "retryable" | "source"> &
  Partial<Pick<SerializedError, "statusCode">>;

const NOT_ON_AZURE =
  "A machine outside Azure has no managed identity. For development, run your program with the emulator: " +
  "npx --no managed-identity-native emulator -- <your command>. With --tokens azure-cli the emulator returns real " +
  "tokens of your az login.";

const STALE_IMDS =
  "AZURE_POD_IDENTITY_AUTHORITY_HOST is set, so its address is used in place of the default address of IMDS. It may be " +
  "left over from a program that has ended, such as an emulator. If no endpoint should listen there, unset it.";

/** By source: why its endpoint may not respond. */
const UNREACHABLE: Texts = {
  AppService:
    "IDENTITY_ENDPOINT is set, but no usable endpoint responds there. These variables are valid only inside the app " +
    "itself, not on a build agent or in another container, and they change when the app restarts. Restart the app, and " +
    "check in the portal, under Identity, that the app has an identity.",
  AzureArc: "Check the Azure Connected Machine agent: azcmagent show, and on Linux systemctl status himdsd.",
  CloudShell: "Restart the shell. Its endpoint ends with the shell's session.",
  DefaultToImds:
    "On Azure, this process must be able to connect to 169.254.169.254:80. Look for a firewall, an AKS network policy, " +
    "a container without the host's network, or the HTTP_PROXY setting of a sidecar.",
  MachineLearning: "Check that the compute has a managed identity, and that this process runs on it.",
  ServiceFabric:
    "Check that the application has a managed identity in its manifest, and that the Managed Identity Token Service " +
    "runs in the cluster.",
  WorkloadIdentity:
    "Check the pod's connection to Microsoft Entra: egress rules, HTTPS_PROXY and NO_PROXY, and, behind a proxy that " +
    "inspects TLS, NODE_EXTRA_CA_CERTS.",
};

const WORKLOAD_FILE =
  "AZURE_FEDERATED_TOKEN_FILE names a file that cannot be read. The pod needs the label " +
  'azure.workload.identity/use: "true" and a service account that is annotated with the client id. Recreate the pod ' +
  "after you change either of them. Outside a pod, unset the variable.";

/** By source: how to assign an identity. */
const ASSIGN_IDENTITY: Texts = {
  AppService:
    "Assign an identity to the app: az webapp identity assign, az functionapp identity assign, or az containerapp " +
    "identity assign. Select a user-assigned identity with --client-id.",
  AzureArc: "A server gets its identity when it is connected to Azure: check with azcmagent show.",
  CloudShell: "Cloud Shell issues tokens of its user, and only for a few audiences.",
  DefaultToImds:
    "Assign an identity to the machine: az vm identity assign, or az vmss identity assign. On AKS, use workload identity. " +
    "A new identity may take some minutes to become available.",
  MachineLearning: "Assign an identity to the compute, and select a user-assigned identity with --client-id.",
  ServiceFabric: "Map an identity to the service in the application manifest.",
  WorkloadIdentity:
    "Compare the federated credential (az identity federated-credential list) with the pod: the issuer must be the " +
    "cluster's OIDC issuer URL, the subject system:serviceaccount:<namespace>:<service account>, and the audience " +
    'api://AzureADTokenExchange. The pod needs the label azure.workload.identity/use: "true".',
};

/** By source: how to assign the identity that an option names. */
const ASSIGN_NAMED_IDENTITY: Texts = {
  AppService:
    "assign it to the app: az webapp identity assign --identities <resource id> (az functionapp identity assign, or " +
    "az containerapp identity assign --user-assigned).",
  AzureArc: "omit the id: most versions of Azure Arc's agent support the server's own identity only.",
  DefaultToImds:
    "assign it to the machine: az vm identity assign --identities <resource id>, or az vmss identity assign. A new " +
    "identity may take some minutes to become available.",
  MachineLearning: "assign it to the compute.",
};

const AZURE_CLI =
  "This message comes from the Azure CLI, which provides the emulator's tokens. Sign in with az login, and check that az " +
  "account get-access-token --resource <the same resource> prints a token.";
const RESOURCE_FORMAT =
  "Set --resource to an absolute URI, such as https://management.azure.com or api://<application id>, or to a GUID.";
const RESOURCE =
  "Set --resource to an audience that exists in the tenant, such as https://management.azure.com, " +
  "https://vault.azure.net, https://storage.azure.com, https://graph.microsoft.com, or api://<application id>.";
const ENDPOINT_VARIABLE =
  "The platform sets this variable. If a .env file or a deployment sets it, remove it there.";
const OMIT_IDENTITY_OPTIONS = "Omit --client-id, --resource-id and --object-id for this source.";
const ARC_AGENT =
  "Update the Azure Connected Machine agent. If another program listens on its port, find out which one.";
const ARC_KEY =
  "Allow this user to read the agent's keys: on Linux sudo usermod -aG himds <user>, on Windows the group Hybrid agent " +
  "extension applications. Then sign in again.";

/** By the package's own error codes. Errors of a service are classified by message and status. */
const BY_CODE: Texts = {
  azure_pod_identity_authority_host_url_malformed: ENDPOINT_VARIABLE,
  identity_endpoint_url_malformed: ENDPOINT_VARIABLE,
  imds_endpoint_url_malformed: ENDPOINT_VARIABLE,
  msi_endpoint_url_malformed: ENDPOINT_VARIABLE,
  invalid_configuration: "Correct the option or the variable that the message names.",
  invalid_file_extension: ARC_AGENT,
  invalid_file_path: ARC_AGENT,
  invalid_managed_identity_id_type:
    "This source identifies user-assigned identities by another kind of id: try --client-id.",
  invalid_resource: RESOURCE,
  invalid_secret: ARC_AGENT,
  invalid_server_thumbprint:
    "Restart the service, so that it receives the current thumbprint of the cluster. If the error remains, another " +
    "server responds at this address.",
  network_unavailable: "Try a longer --timeout. If that does not help, a firewall may drop the packets.",
  platform_not_supported: "Azure Arc provides tokens on Linux and Windows only.",
  unable_to_create_cloud_shell: OMIT_IDENTITY_OPTIONS,
  unable_to_read_secret_file: ARC_KEY,
  user_assigned_managed_identity_not_confirmed: `${ARC_AGENT} Without an id, the server's own identity is used.`,
  user_assigned_not_available_at_runtime: OMIT_IDENTITY_OPTIONS,
  www_authenticate_header_missing: ARC_AGENT,
  www_authenticate_header_unsupported_format: ARC_AGENT,
};

/** By a part of the message, for errors whose message is more specific than their status. */
const BY_MESSAGE: readonly (readonly [part: string, advice: string])[] = [
  ["AADSTS500011", RESOURCE],
  [
    "AADSTS700024",
    "Mount the projected token itself, not a copy, because Kubernetes renews it. Synchronize the clock with a time server.",
  ],
  ["az was not found", AZURE_CLI],
  ["az failed", AZURE_CLI],
  ["az returned no token", AZURE_CLI],
  ["az printed no token", AZURE_CLI],
  ["AADSTS700016", "Compare AZURE_CLIENT_ID and AZURE_TENANT_ID with the identity's client id and tenant."],
  ["AudienceNotSupported", RESOURCE],
];

/** The start of AADSTS70021 and AADSTS700211 to 700213: no federated credential matches the pod's token. */
const NO_FEDERATED_CREDENTIAL = "AADSTS70021";

/** How a run was set up, as far as the error itself does not tell. */
export interface AdviceContext {
  /** The detected source. */
  readonly source?: string;
  /** The option that named the identity, if one did. */
  readonly identityOption?: IdentityOption | undefined;
}

/** Returns the advice on an error of `acquireToken`, as a list of sentences. */
export function adviceForError(error: AdvisedError, context: AdviceContext = {}): readonly string[] {
  const advice = specificAdvice(error, context.source ?? error.source ?? "", context.identityOption);
  return error.retryable ? [advice, "The error may be temporary: try again in a minute."] : [advice];
}

function specificAdvice(
  { errorCode, errorMessage, statusCode }: AdvisedError,
  source: string,
  identityOption: IdentityOption | undefined,
): string {
  const status = statusCode ?? 0;
  const assign = ASSIGN_IDENTITY[source] ?? "Search for the error code, and give support the correlation id.";
  const byMessage = BY_MESSAGE.find(([part]) => errorMessage.includes(part));
  if (byMessage) return byMessage[1];
  if (errorMessage.includes(NO_FEDERATED_CREDENTIAL)) return assign;
  if (errorCode === "managed_identity_unreachable_network") return UNREACHABLE[source] ?? assign;
  if (errorCode === "invalid_resource" && status === 0) return resourceFormatAdvice(errorMessage);
  if (errorCode === "unable_to_read_secret_file" && source === "WorkloadIdentity") return WORKLOAD_FILE;
  const byCode = Object.hasOwn(BY_CODE, errorCode) ? BY_CODE[errorCode] : undefined;
  if (byCode !== undefined) return byCode;
  if (status === 401 || status === 403) {
    return "The endpoint rejects the secret of this process, which may be outdated. Restart the app.";
  }
  if (status === 429) {
    return "The endpoint receives too many requests: let each process reuse its cached tokens.";
  }
  if (status >= 500) return "The platform has a problem of its own: check its health in the portal.";
  const assignNamed = ASSIGN_NAMED_IDENTITY[source];
  if (identityOption === undefined || assignNamed === undefined) return assign;
  const kind = identityOption.replace("-", " ");
  return `Check that the value of --${identityOption} is the ${kind} of the identity. If it is, ${assignNamed}`;
}

/** The package rejected the resource before it sent a request. */
function resourceFormatAdvice(errorMessage: string): string {
  const [, suggested] = /did you mean (https:\/\/\S+)\?$/.exec(errorMessage) ?? [];
  return suggested === undefined ? RESOURCE_FORMAT : `Run again with --resource ${suggested}.`;
}

/** Returns the advice on an endpoint that does not respond, as a list of sentences. */
export function adviceForUnreachable(
  source: string,
  nearMisses: readonly NearMiss[],
  env: NodeJS.ProcessEnv,
): readonly string[] {
  const missing = nearMisses.map(
    ({ missing: name, source: other, present }) =>
      `${present.join(" and ")} ${present.length === 1 ? "is" : "are"} set, but ${other} also needs ${name}.`,
  );
  const unreachable = UNREACHABLE[source] ?? "";
  if (source !== "DefaultToImds") return [...missing, unreachable];
  return [...missing, env.AZURE_POD_IDENTITY_AUTHORITY_HOST ? STALE_IMDS : unreachable, NOT_ON_AZURE];
}

/** Returns the advice for a program whose `fromEnvironment()` would use another identity, or fail. */
export function adviceForEnvironment(identity: EnvironmentIdentity | undefined): readonly string[] {
  if (identity === undefined) return [];
  if (identity.problem !== undefined) return [`fromEnvironment() would fail here with ${identity.problem}`];
  const { kind, id, variable } = identity;
  const value = id ?? (variable === "AZURE_CLIENT_ID" ? '"$AZURE_CLIENT_ID"' : "<its Id>");
  return [
    `fromEnvironment() would use the ${kind.replace("-", " ")} in ${variable}, which this run did not use. For a ` +
      `program that calls fromEnvironment(), run again with --${kind} ${value}.`,
  ];
}
