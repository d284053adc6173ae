//! The names of the sources, and the parts of error messages that depend on the source.

use crate::platform::variable;

/// msal-node's name of IMDS if it was detected and is not merely the default.
const IMDS: &str = "Imds";

/// The sources of tokens, with msal-node's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// App Service, Functions, Container Apps, Automation.
    AppService,
    /// A machine with Azure Arc's agent.
    AzureArc,
    /// Azure Cloud Shell.
    CloudShell,
    /// The instance metadata service (IMDS) of a virtual machine. The default if no other source is detected.
    DefaultToImds,
    /// Azure Machine Learning.
    MachineLearning,
    /// Service Fabric.
    ServiceFabric,
    /// A pod with a workload identity, on AKS or another Kubernetes cluster.
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

    /// Returns the name as callers see it.
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

    /// Returns the source with a name; `None` for an unknown name. `Imds` is another name of the default.
    pub fn parse(text: &str) -> Option<Self> {
        if text == IMDS {
            return Some(Self::DefaultToImds);
        }
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// Returns the variables that the source requires, as a list for an error message; `None` for IMDS, which requires none.
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

    /// Returns the name for error messages.
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

    /// Returns how many variables at the start of [`variable::ALL`] determine that this is the source and what its requests
    /// are. While these do not change, nothing that depends on the environment changes.
    pub fn relevant_variable_count(self) -> usize {
        let last = match self {
            Self::ServiceFabric | Self::AppService => variable::IDENTITY_SERVER_THUMBPRINT,
            Self::MachineLearning | Self::CloudShell => variable::DEFAULT_IDENTITY_CLIENT_ID,
            // Which of the two is detected also depends on the agent's file, so both depend on the same variables.
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
                "There is no IMDS here: this is not an Azure host, or a firewall or a network policy blocks it. For \
                 development, run the program with this package's emulator: npx managed-identity-native emulator -- \
                 <your command>."
            }
            Self::AzureArc => "Check that the Azure Connected Machine agent (himds) is running.",
            Self::WorkloadIdentity => "Check outbound network access, HTTPS_PROXY and AZURE_AUTHORITY_HOST.",
            _ => {
                "Check that the endpoint in the environment is that of this host and that its sidecar is running."
            }
        }
    }

    /// Returns what helps against a 401 or 403 of a source that authenticates with a secret from the environment.
    pub(super) fn refused_remedy(self) -> Option<&'static str> {
        match self {
            Self::AppService | Self::ServiceFabric => Some(
                "The secret in IDENTITY_HEADER is probably outdated: it changes when the app restarts, so read it from the \
                 app's own environment and do not keep a copy.",
            ),
            Self::MachineLearning => Some(
                "The secret in MSI_SECRET is probably outdated: it changes when the compute restarts, so read it from its \
                 own environment and do not keep a copy.",
            ),
            _ => None,
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
                "Behind a proxy that inspects TLS, set NODE_EXTRA_CA_CERTS to a file with its certificate."
            }
            _ => {
                "Its certificate must be issued by an authority in the trust roots of this process; for another authority, \
                 set NODE_EXTRA_CA_CERTS to a file with its certificate."
            }
        }
    }
}
