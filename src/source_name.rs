//! The names of the sources, and what sentences say of each.

use crate::platform::variable;

/// How msal-node calls IMDS where it was found, and not only assumed.
const IMDS: &str = "Imds";

/// The hosts, by msal-node's names for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// App Service, Functions, Container Apps, Automation.
    AppService,
    /// A server with Azure Arc's agent.
    AzureArc,
    /// Azure Cloud Shell.
    CloudShell,
    /// A virtual machine, or whatever answers at IMDS's address.
    DefaultToImds,
    /// Azure Machine Learning.
    MachineLearning,
    /// Service Fabric.
    ServiceFabric,
    /// A pod with a workload identity, on AKS or wherever else.
    WorkloadIdentity,
}

impl SourceName {
    /// Every source.
    pub const ALL: [Self; 7] = [
        Self::AppService,
        Self::AzureArc,
        Self::CloudShell,
        Self::DefaultToImds,
        Self::MachineLearning,
        Self::ServiceFabric,
        Self::WorkloadIdentity,
    ];

    /// The string that callers compare with.
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

    /// The source of a name that callers may give; `Imds` is another name for the default.
    pub fn parse(text: &str) -> Option<Self> {
        if text == IMDS {
            return Some(Self::DefaultToImds);
        }
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// The variables that make it complete, for a sentence; `None` for IMDS, which needs none.
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

    /// What a sentence calls it.
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

    /// How many of [`variable::ALL`], from the front, decide that this is the source, and how it is
    /// asked: while these stay as they are, so does everything that the environment has a say in.
    pub fn relevant_variable_count(self) -> usize {
        let last = match self {
            Self::ServiceFabric | Self::AppService => variable::IDENTITY_SERVER_THUMBPRINT,
            Self::MachineLearning | Self::CloudShell => variable::DEFAULT_IDENTITY_CLIENT_ID,
            // An agent's file can come or go as well, so that what counts without one counts with one.
            Self::AzureArc | Self::DefaultToImds => variable::AZURE_POD_IDENTITY_AUTHORITY_HOST,
            Self::WorkloadIdentity => return variable::ALL.len(),
        };
        variable::ALL
            .iter()
            .position(|name| *name == last)
            .map_or(variable::ALL.len(), |index| index + 1)
    }

    pub(super) fn unreachable_remedy(self) -> &'static str {
        match self {
            Self::DefaultToImds => {
                "There is no IMDS here: this is no Azure host, or a firewall or a network policy is in the way; \
                 for development, run the program with this package's emulator: npx managed-identity-native emulator \
                 -- <your command>."
            }
            Self::AzureArc => "Check that the Azure Connected Machine agent (himds) is running.",
            Self::WorkloadIdentity => "Check the network's way out, HTTPS_PROXY and AZURE_AUTHORITY_HOST.",
            _ => {
                "Check that the endpoint in the environment is this host's own and that its sidecar is running."
            }
        }
    }

    /// What helps against a 401 or 403 that says nothing else, where a secret of the environment is sent along.
    pub(super) fn refused_remedy(self) -> Option<&'static str> {
        match self {
            Self::AppService | Self::ServiceFabric => Some(
                "The secret in IDENTITY_HEADER is probably an old one: it changes when the app restarts, so read it from \
                 the app's own environment and keep no copy.",
            ),
            Self::MachineLearning => Some(
                "The secret in MSI_SECRET is probably an old one: it changes when the compute restarts, so read it from \
                 its own environment and keep no copy.",
            ),
            _ => None,
        }
    }

    pub(super) fn tls_remedy(self) -> &'static str {
        match self {
            Self::ServiceFabric => {
                "The cluster's certificate must be X.509 version 3 with an RSA key of 2048 bits or more, or P-256, \
                 P-384 or Ed25519."
            }
            Self::WorkloadIdentity => {
                "Behind a proxy that opens TLS, name its certificate in NODE_EXTRA_CA_CERTS."
            }
            _ => {
                "Its certificate must be one that the trust roots of this process vouch for; name another authority's \
                 in NODE_EXTRA_CA_CERTS."
            }
        }
    }
}
