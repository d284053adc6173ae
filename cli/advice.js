"use strict";

// What the doctor says on top of an error's own words: where to look, and which command of Azure's helps. It must not
// know how a report looks.

const OFF_AZURE =
  "On a machine that is not in Azure there is no managed identity. For development, run your program with the " +
  "emulator: npx managed-identity-native emulator -- <your command>; with --tokens azure-cli it hands out real " +
  "tokens of your own az login.";

const STALE_IMDS =
  "AZURE_POD_IDENTITY_AUTHORITY_HOST is set, so this address is asked in place of IMDS's own; it may be left over from " +
  "something that has ended, such as an emulator: unset it where nothing is to answer there.";

/** Why an endpoint may not answer, by the source. */
const UNAVAILABLE = {
  AppService:
    "IDENTITY_ENDPOINT is set, but nothing useful answers there: these variables hold only inside of the app itself " +
    "(not on a build agent or in another container), and change when it restarts. Restart the app, and check under " +
    "Identity in the portal that it has one.",
  AzureArc: "Check the Azure Connected Machine agent: azcmagent show, and on Linux systemctl status himdsd.",
  CloudShell: "Start the shell anew; its endpoint does not outlive it.",
  DefaultToImds:
    "On Azure, 169.254.169.254:80 must be open to this process: look for a firewall, an AKS network policy, a " +
    "container without the host's network, or HTTP_PROXY settings of a sidecar.",
  MachineLearning: "Check that the compute has a managed identity, and that this process runs on it.",
  ServiceFabric:
    "Check that the application has a managed identity in its manifest, and that the Managed Identity Token Service " +
    "runs in the cluster.",
  WorkloadIdentity:
    "Check the pod's way to Microsoft Entra: egress rules, HTTPS_PROXY and NO_PROXY, and NODE_EXTRA_CA_CERTS behind " +
    "a proxy that opens TLS.",
};

const WORKLOAD_FILE =
  "AZURE_FEDERATED_TOKEN_FILE names no token that can be read: the pod needs the label " +
  'azure.workload.identity/use: "true" and a service account that is annotated with the client id, and must be made ' +
  "anew after either has changed; outside of a pod, unset the variable.";

/** How a host gets an identity. */
const ASSIGN = {
  AppService:
    "Give the app an identity: az webapp identity assign, az functionapp identity assign, or az containerapp " +
    "identity assign. Then name a user-assigned one with --client-id.",
  AzureArc: "The server's identity comes with its connection to Azure: azcmagent show.",
  CloudShell: "Cloud Shell hands out tokens of its user for a few audiences only.",
  DefaultToImds:
    "Give the machine an identity: az vm identity assign, or az vmss identity assign; on AKS, use workload identity. " +
    "A new one may take some minutes to be known.",
  MachineLearning: "Assign an identity to the compute, and name a user-assigned one with --client-id.",
  ServiceFabric: "Map an identity to the service in the application manifest.",
  WorkloadIdentity:
    "Compare the federated credential (az identity federated-credential list) with the pod: its issuer with the " +
    "cluster's OIDC issuer URL, its subject with system:serviceaccount:<namespace>:<service account>, its audience with " +
    "api://AzureADTokenExchange; the pod needs " +
    'the label azure.workload.identity/use: "true".',
};

/** Where an id was given that the host does not know. */
const GIVEN = {
  AppService:
    "assign it to the app: az webapp identity assign --identities <resource id> (az functionapp identity assign, or " +
    "az containerapp identity assign --user-assigned).",
  AzureArc:
    "a server of Azure Arc has its own identity only, unless its agent knows better: leave the id out.",
  DefaultToImds:
    "assign it to the machine: az vm identity assign --identities <resource id>, or az vmss identity assign. A new one " +
    "may take some minutes to be known.",
  MachineLearning: "assign it to the compute.",
};

const AZURE_CLI =
  "These are words of the Azure CLI, whose tokens this emulator hands out: sign in with az login, and see that az " +
  "account get-access-token --resource <the same> gives a token.";
const RESOURCE_FORM =
  "Give --resource an absolute URI, such as https://management.azure.com or api://<application id>, or a GUID.";
const RESOURCE =
  "Give --resource an audience that the tenant knows, such as https://management.azure.com, https://vault.azure.net, " +
  "https://storage.azure.com, https://graph.microsoft.com, or api://<application id>.";
const ENDPOINT_VARIABLE =
  "The host sets this variable; if something else did (a .env file, a deployment), take it away there.";
const NO_IDS = "Leave --client-id, --resource-id and --object-id out here.";
const ARC_AGENT =
  "Update the Azure Connected Machine agent; if something else listens in its place, find out what it is.";
const ARC_KEY =
  "Let this user read the agent's keys: sudo usermod -aG himds <user> on Linux, the group Hybrid agent extension " +
  "applications on Windows; then sign in anew.";

/** By the package's own error codes; those of the services are judged by their words and status. */
const BY_CODE = {
  azure_pod_identity_authority_host_url_malformed: ENDPOINT_VARIABLE,
  identity_endpoint_url_malformed: ENDPOINT_VARIABLE,
  imds_endpoint_url_malformed: ENDPOINT_VARIABLE,
  msi_endpoint_url_malformed: ENDPOINT_VARIABLE,
  invalid_configuration: "Correct the option or the variable that the message names.",
  invalid_file_extension: ARC_AGENT,
  invalid_file_path: ARC_AGENT,
  invalid_managed_identity_id_type:
    "This host knows user-assigned identities by another id: try --client-id.",
  invalid_resource: RESOURCE,
  invalid_secret: ARC_AGENT,
  invalid_server_thumbprint:
    "Restart the service, so that it gets the cluster's present thumbprint; if it stays, somebody else answers at " +
    "this address.",
  network_unavailable:
    "Try a longer --timeout; if that does not help, something on the way drops the packets.",
  platform_not_supported: "Azure Arc hands out tokens on Linux and Windows only.",
  unable_to_create_cloud_shell: NO_IDS,
  unable_to_read_secret_file: ARC_KEY,
  user_assigned_managed_identity_not_confirmed: `${ARC_AGENT} Without an id, the server's own identity answers.`,
  user_assigned_not_available_at_runtime: NO_IDS,
  www_authenticate_header_missing: ARC_AGENT,
  www_authenticate_header_unsupported_format: ARC_AGENT,
};

/** Where the service's words tell more than its status. */
const BY_WORDS = [
  ["AADSTS500011", () => RESOURCE],
  ["AADSTS70021", ({ source }) => ASSIGN[source]],
  [
    "AADSTS700024",
    () =>
      "Mount the projected token itself, not a copy: Kubernetes renews it; and set the clock by a time server.",
  ],
  ["az was not found", () => AZURE_CLI],
  ["az failed", () => AZURE_CLI],
  ["az gave no token", () => AZURE_CLI],
  ["az printed no token", () => AZURE_CLI],
  [
    "AADSTS700016",
    () => "Compare AZURE_CLIENT_ID and AZURE_TENANT_ID with the identity's client id and tenant.",
  ],
  ["AudienceNotSupported", () => RESOURCE],
];

/**
 * What to do about an error of `acquireToken`; a list of sentences. `kind` is the option by which an identity was
 * named, if one was; `source` is what was found, also where the error came before any.
 */
function adviceOn(failure, { source = failure.source, kind } = {}) {
  const advice = [specific({ ...failure, source }, kind)];
  if (failure.retryable) advice.push("This may pass by itself: try again in a minute.");
  return advice;
}

function specific(failure, kind) {
  const { errorCode, errorMessage, source, statusCode } = failure;
  const words = BY_WORDS.find(([sign]) => errorMessage.includes(sign));
  if (words) return words[1](failure);
  if (errorCode === "managed_identity_unreachable_network") return UNAVAILABLE[source];
  if (errorCode === "invalid_resource" && !statusCode) return formOf(errorMessage);
  if (errorCode === "unable_to_read_secret_file" && source === "WorkloadIdentity") return WORKLOAD_FILE;
  if (Object.hasOwn(BY_CODE, errorCode)) return BY_CODE[errorCode];
  if (statusCode === 401 || statusCode === 403) {
    return "The endpoint does not accept this process: its secret may be an old one. Restart the app.";
  }
  if (statusCode === 429) return "Too many requests reached the endpoint: let each process keep its tokens.";
  if (statusCode >= 500) return "The host itself is in trouble; look at its health in the portal.";
  if (kind !== undefined && Object.hasOwn(GIVEN, source)) {
    const what = kind.replace("-", " ");
    return `Check that what was given with --${kind} is the ${what} of the identity; if it is, ${GIVEN[source]}`;
  }
  return ASSIGN[source] ?? "Look the error up by its code and its correlation id.";
}

/** Nothing was sent: what was given is no resource. */
function formOf(errorMessage) {
  const [, meant] = /did you mean (https:\/\/\S+)\?$/.exec(errorMessage) ?? [];
  return meant === undefined ? RESOURCE_FORM : `Run again with --resource ${meant}.`;
}

/** What to do about an endpoint that is not there; a list of sentences. */
function adviceOnAbsence(source, nearly, env) {
  const missing = nearly.map(
    ({ missing: name, source: other, present }) =>
      `${present.join(" and ")} ${present.length === 1 ? "is" : "are"} set, but only with ${name} would that mean ${other}.`,
  );
  if (source !== "DefaultToImds") return [...missing, UNAVAILABLE[source]];
  const where = env.AZURE_POD_IDENTITY_AUTHORITY_HOST ? STALE_IMDS : UNAVAILABLE[source];
  return [...missing, where, OFF_AZURE];
}

/** What to know where `fromEnvironment()` would use another identity, or none; a list of sentences. */
function adviceOnEnvironment(named) {
  if (named === undefined) return [];
  if (named.problem !== undefined) return [`fromEnvironment() would fail here with ${named.problem}`];
  const { kind, id, variable } = named;
  const value = id ?? (variable === "AZURE_CLIENT_ID" ? '"$AZURE_CLIENT_ID"' : "<its Id>");
  return [
    `fromEnvironment() would use the ${kind.replace("-", " ")} of ${variable}, and this was about the identity without ` +
      `it: for a program that calls fromEnvironment(), run again with --${kind} ${value}.`,
  ];
}

module.exports = { adviceOn, adviceOnAbsence, adviceOnEnvironment };
