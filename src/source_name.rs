//! The names of the token sources, and the texts about each.

use crate::platform::variable;

/// msal-node's name for IMDS that was detected and is not only the default.
const IMDS: &str = "Imds";

/// The token sources, by their names in msal-node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// App Service, Functions, Container Apps, Automation.
    AppService,
    /// A machine with Azure Arc's agent.
    AzureArc,
    /// Azure Cloud Shell.
    CloudShell,
    /// IMDS: virtual machines, and the default.
    DefaultToImds,
    /// Azure Machine Learning.
    MachineLearning,
    /// Service Fabric.
    ServiceFabric,
    /// A pod with a workload identity, on AKS or elsewhere.
    WorkloadIdentity,
}

impl SourceName {
    /// All sources.
    pub const ALL: [Self; 7] = [
        Self::AppService,
        Self::AzureArc,
        Self::CloudShell,
        Self::DefaultToImds,
        Self::MachineLearning,
        Self::ServiceFabric,
        Self::WorkloadIdentity,
    ];

    /// Returns the name in the public API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppService => "AppService",
            Self::AzureArc => "AzureArc",
            Self::CloudShell => "CloudShell",
            Self::DefaultToImds => "DefaultToImds",
            Self::MachineLearning => "MachineLearning",
            Self::ServiceFabric => "ServiceFabric",
            Self::WorkloadIdentity => "WorkloadIdentity",
        }
    }

    /// Parses a name of the option `source`; `Imds` is an alias of `DefaultToImds`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == IMDS {
            return Some(Self::DefaultToImds);
        }
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// Returns the variables that the source needs, as part of a sentence; `None` for IMDS, which needs no variable.
    pub(super) fn needs(self) -> Option<&'static str> {
        Some(match self {
            Self::ServiceFabric => "IDENTITY_ENDPOINT, IDENTITY_HEADER and IDENTITY_SERVER_THUMBPRINT",
            Self::AppService => "IDENTITY_ENDPOINT and IDENTITY_HEADER",
            Self::MachineLearning => "MSI_ENDPOINT and MSI_SECRET",
            Self::CloudShell => "MSI_ENDPOINT",
            Self::AzureArc => "IDENTITY_ENDPOINT and IMDS_ENDPOINT, or Azure Arc's agent on this machine",
            Self::WorkloadIdentity => {
                "AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID, and a client id (AZURE_CLIENT_ID or userAssignedClientId)"
            }
            Self::DefaultToImds => return None,
        })
    }

    /// Returns the name of the source in messages.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::AppService => "App Service's token endpoint",
            Self::AzureArc => "Azure Arc's agent",
            Self::CloudShell => "Cloud Shell's token endpoint",
            Self::DefaultToImds => "The instance metadata service (IMDS)",
            Self::MachineLearning => "Machine Learning's token endpoint",
            Self::ServiceFabric => "Service Fabric's token endpoint",
            Self::WorkloadIdentity => "Microsoft Entra's token endpoint",
        }
    }

    /// Returns how many elements of [`variable::ALL`], from the front, determine the source and its requests. While these
    /// variables are unchanged, nothing that depends on the environment changes.
    pub fn relevant_variable_count(self) -> usize {
        let last = match self {
            Self::ServiceFabric | Self::AppService => variable::IDENTITY_SERVER_THUMBPRINT,
            Self::MachineLearning | Self::CloudShell => variable::DEFAULT_IDENTITY_CLIENT_ID,
            // The agent's file may appear or disappear, so the variables of both sources are relevant to both.
            Self::AzureArc | Self::DefaultToImds => variable::AZURE_POD_IDENTITY_AUTHORITY_HOST,
            Self::WorkloadIdentity => return variable::ALL.len(),
        };
        variable::ALL
            .iter()
            .position(|name| *name == last)
            .map_or(variable::ALL.len(), |index| index + 1)
    }

    /// Returns what helps if the endpoint cannot be reached.
    pub(super) fn unreachable_remedy(self) -> &'static str {
        match self {
            Self::DefaultToImds => {
                "There is no IMDS here: this host is not in Azure, or a firewall or a network policy blocks it. For \
                 development, run the program with this package's emulator: npx --no managed-identity-native \
                 emulator -- <your command>."
            }
            Self::AzureArc => "Check that the Azure Connected Machine agent (himds) is running.",
            Self::WorkloadIdentity => "Check outbound network access, HTTPS_PROXY and AZURE_AUTHORITY_HOST.",
            _ => {
                "Check that the endpoint in the environment belongs to this host and that its sidecar is running."
            }
        }
    }

    /// Returns the advice for a 401 or 403 without a message, if requests carry a secret of the environment.
    pub(super) fn refused_remedy(self) -> Option<&'static str> {
        match self {
            Self::AppService | Self::ServiceFabric => Some(
                "The secret in IDENTITY_HEADER is probably outdated: it changes when the app restarts. Read it from the \
                 app's own environment and do not keep a copy.",
            ),
            Self::MachineLearning => Some(
                "The secret in MSI_SECRET is probably outdated: it changes when the compute restarts. Read it from the \
                 compute's own environment and do not keep a copy.",
            ),
            _ => None,
        }
    }

    /// Returns the advice for a 404 without a message, if a variable of the environment has the path of the endpoint.
    pub(super) fn not_found_remedy(self) -> Option<&'static str> {
        match self {
            Self::AppService | Self::AzureArc | Self::ServiceFabric => Some(
                "The path in IDENTITY_ENDPOINT is probably wrong: the variable must have the whole URL that the host set.",
            ),
            Self::CloudShell | Self::MachineLearning => Some(
                "The path in MSI_ENDPOINT is probably wrong: the variable must have the whole URL that the host set.",
            ),
            Self::DefaultToImds | Self::WorkloadIdentity => None,
        }
    }

    /// Returns what helps if the certificate of the endpoint is rejected.
    pub(super) fn tls_remedy(self) -> &'static str {
        match self {
            Self::ServiceFabric => {
                "The cluster's certificate must be X.509 version 3 with an RSA key of 2048 bits or more, or P-256, \
                 P-384 or Ed25519."
            }
            Self::WorkloadIdentity => {
                "Behind a proxy that intercepts TLS, set NODE_EXTRA_CA_CERTS to the file of its CA certificate."
            }
            _ => {
                "Its certificate must be issued by an authority in the trust roots of this process. To trust another \
                 authority, set NODE_EXTRA_CA_CERTS to the file of its certificate."
            }
        }
    }
}
