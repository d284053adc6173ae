/*
 * The public tables of constants.
 */

import type * as contract from "../index.js";

const { freeze } = Object;

export const ManagedIdentityErrorCodes: typeof contract.ManagedIdentityErrorCodes = freeze({
  exactlyOneScopeExpected: "exactly_one_scope_expected",
  invalidConfiguration: "invalid_configuration",
  invalidFileExtension: "invalid_file_extension",
  invalidFilePath: "invalid_file_path",
  invalidManagedIdentityIdType: "invalid_managed_identity_id_type",
  invalidResource: "invalid_resource",
  invalidSecret: "invalid_secret",
  invalidServerThumbprint: "invalid_server_thumbprint",
  managedIdentityFailedResponse: "managed_identity_failed_response",
  managedIdentityUnreachableNetwork: "managed_identity_unreachable_network",
  missingId: "missing_client_id",
  networkUnavailable: "network_unavailable",
  platformNotSupported: "platform_not_supported",
  unableToCreateAzureArc: "unable_to_create_azure_arc",
  unableToCreateCloudShell: "unable_to_create_cloud_shell",
  unableToCreateSource: "unable_to_create_source",
  unableToReadSecretFile: "unable_to_read_secret_file",
  urlParseError: "url_parse_error",
  userAssignedManagedIdentityNotConfirmed: "user_assigned_managed_identity_not_confirmed",
  userAssignedNotAvailableAtRuntime: "user_assigned_not_available_at_runtime",
  wwwAuthenticateHeaderMissing: "www_authenticate_header_missing",
  wwwAuthenticateHeaderUnsupportedFormat: "www_authenticate_header_unsupported_format",
  MsiEnvironmentVariableUrlMalformedErrorCodes: freeze({
    AZURE_POD_IDENTITY_AUTHORITY_HOST: "azure_pod_identity_authority_host_url_malformed",
    IDENTITY_ENDPOINT: "identity_endpoint_url_malformed",
    IMDS_ENDPOINT: "imds_endpoint_url_malformed",
    MSI_ENDPOINT: "msi_endpoint_url_malformed",
  }),
});

export const ManagedIdentitySourceNames: typeof contract.ManagedIdentitySourceNames = freeze({
  APP_SERVICE: "AppService",
  AZURE_ARC: "AzureArc",
  CLOUD_SHELL: "CloudShell",
  DEFAULT_TO_IMDS: "DefaultToImds",
  IMDS: "Imds",
  MACHINE_LEARNING: "MachineLearning",
  SERVICE_FABRIC: "ServiceFabric",
  WORKLOAD_IDENTITY: "WorkloadIdentity",
});

export const LogLevel = freeze({
  Error: 0,
  Warning: 1,
  Info: 2,
  Verbose: 3,
  Trace: 4,
  0: "Error",
  1: "Warning",
  2: "Info",
  3: "Verbose",
  4: "Trace",
});
