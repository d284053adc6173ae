//! The environment variables that were handed down with one call.
//!
//! JavaScript reads them, because a worker's `process.env` is a copy of its own and a native
//! `getenv` races a `setenv`. This record is all that the rest of the crate ever sees of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::NodeRootsReader;

/// The names of every variable that this crate looks at.
pub mod variable {
    /// App Service, Service Fabric, Azure Arc: the token endpoint.
    pub const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
    /// App Service, Service Fabric: the secret that the endpoint wants to see.
    pub const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
    /// Service Fabric: the SHA-1 thumbprint of the endpoint's certificate.
    pub const IDENTITY_SERVER_THUMBPRINT: &str = "IDENTITY_SERVER_THUMBPRINT";
    /// Azure Arc: where its own metadata service listens.
    pub const IMDS_ENDPOINT: &str = "IMDS_ENDPOINT";
    /// Cloud Shell, Machine Learning: the token endpoint.
    pub const MSI_ENDPOINT: &str = "MSI_ENDPOINT";
    /// Machine Learning: the secret that the endpoint wants to see.
    pub const MSI_SECRET: &str = "MSI_SECRET";
    /// Machine Learning: the identity to use when none is named.
    pub const DEFAULT_IDENTITY_CLIENT_ID: &str = "DEFAULT_IDENTITY_CLIENT_ID";
    /// IMDS: another base address than 169.254.169.254.
    pub const AZURE_POD_IDENTITY_AUTHORITY_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
    /// Workload identity: the file with the federated token.
    pub const AZURE_FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
    /// Workload identity: the tenant.
    pub const AZURE_TENANT_ID: &str = "AZURE_TENANT_ID";
    /// Workload identity: the client id when the application names none.
    pub const AZURE_CLIENT_ID: &str = "AZURE_CLIENT_ID";
    /// Workload identity: another authority than the public cloud's.
    pub const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
    /// Workload identity with `system.enableAzureProxy`: the https URL of the cluster's token proxy.
    pub const AZURE_KUBERNETES_TOKEN_PROXY: &str = "AZURE_KUBERNETES_TOKEN_PROXY";
    /// The name that the TLS handshake with that proxy asks for and its certificate must have, in place of the URL's.
    pub const AZURE_KUBERNETES_SNI_NAME: &str = "AZURE_KUBERNETES_SNI_NAME";
    /// A PEM file of the certificates that alone vouch for that proxy; read for each request.
    pub const AZURE_KUBERNETES_CA_FILE: &str = "AZURE_KUBERNETES_CA_FILE";
    /// Such certificates themselves, as PEM text.
    pub const AZURE_KUBERNETES_CA_DATA: &str = "AZURE_KUBERNETES_CA_DATA";
    /// Workload identity: the proxy for https.
    pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
    /// Workload identity: the proxy for https, in the spelling of curl; it wins.
    pub const HTTPS_PROXY_LOWER: &str = "https_proxy";
    /// Workload identity: hosts that need no proxy.
    pub const NO_PROXY: &str = "NO_PROXY";
    /// Workload identity: hosts that need no proxy, in the spelling of curl; it wins.
    pub const NO_PROXY_LOWER: &str = "no_proxy";
    /// Any https endpoint but Service Fabric's: a PEM file of further trust roots.
    pub const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";
    /// Azure Arc on Windows: where its executable lives.
    pub const PROGRAM_FILES: &str = "ProgramFiles";
    /// Azure Arc on Windows: where its key files live.
    pub const PROGRAM_DATA: &str = "ProgramData";

    /// The URLs of token endpoints, which can be https.
    pub(super) const ENDPOINTS: &[&str] =
        &[IDENTITY_ENDPOINT, MSI_ENDPOINT, AZURE_POD_IDENTITY_AUTHORITY_HOST];

    /// All of them that mean anything on this platform: what the face reads and hands down. In the
    /// order of detection, so that a source is decided by so many from the front; see
    /// [`SourceName::relevant_variable_count`](crate::source_name::SourceName::relevant_variable_count).
    pub const ALL: &[&str] = &[
        IDENTITY_ENDPOINT,
        IDENTITY_HEADER,
        IDENTITY_SERVER_THUMBPRINT,
        MSI_ENDPOINT,
        MSI_SECRET,
        DEFAULT_IDENTITY_CLIENT_ID,
        IMDS_ENDPOINT,
        #[cfg(windows)]
        PROGRAM_FILES,
        #[cfg(windows)]
        PROGRAM_DATA,
        AZURE_FEDERATED_TOKEN_FILE,
        AZURE_TENANT_ID,
        AZURE_CLIENT_ID,
        AZURE_POD_IDENTITY_AUTHORITY_HOST,
        AZURE_AUTHORITY_HOST,
        AZURE_KUBERNETES_TOKEN_PROXY,
        AZURE_KUBERNETES_SNI_NAME,
        AZURE_KUBERNETES_CA_FILE,
        AZURE_KUBERNETES_CA_DATA,
        HTTPS_PROXY,
        HTTPS_PROXY_LOWER,
        NO_PROXY,
        NO_PROXY_LOWER,
        NODE_EXTRA_CA_CERTS,
    ];
}

/// One reading of the environment. A variable that is empty counts as unset.
///
/// It has no `Debug`: some of its values are secrets.
#[derive(Clone, Default)]
pub struct Environment {
    values: HashMap<String, String>,
    node_roots: Option<Arc<dyn NodeRootsReader>>,
}

impl Environment {
    /// Looks a variable up.
    pub fn read(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether a source that these variables lead to can have an https endpoint.
    pub fn can_need_roots(&self) -> bool {
        let names_https = |name: &&str| {
            let is_https = |value: &str| {
                value
                    .trim_start()
                    .get(..6)
                    .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
            };
            self.read(name).is_some_and(is_https)
        };
        self.read(variable::AZURE_FEDERATED_TOKEN_FILE).is_some()
            || variable::ENDPOINTS.iter().any(names_https)
    }

    /// Sets where the trust roots of the calling thread come from.
    pub fn set_node_roots(&mut self, reader: Arc<dyn NodeRootsReader>) {
        self.node_roots = Some(reader);
    }

    /// Where the trust roots of the calling thread come from.
    pub fn node_roots(&self) -> Option<&Arc<dyn NodeRootsReader>> {
        self.node_roots.as_ref()
    }

    /// Tells whether all of these variables are set.
    pub fn has_all(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.read(name).is_some())
    }
}

impl From<HashMap<String, String>> for Environment {
    fn from(values: HashMap<String, String>) -> Self {
        Self {
            values,
            node_roots: None,
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect::<HashMap<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_can_need_roots() {
        for (name, value, can) in [
            (variable::IDENTITY_ENDPOINT, "https://h/t", true),
            (variable::MSI_ENDPOINT, " HTTPS://h/t", true),
            (variable::AZURE_POD_IDENTITY_AUTHORITY_HOST, "https://h", true),
            (variable::AZURE_FEDERATED_TOKEN_FILE, "/token", true),
            (variable::IDENTITY_ENDPOINT, "http://h/t", false),
            (variable::IDENTITY_ENDPOINT, "httpä", false),
            (variable::HTTPS_PROXY, "https://h", false),
        ] {
            assert_eq!(
                Environment::from([(name, value)]).can_need_roots(),
                can,
                "{name}={value}"
            );
        }
        assert!(!Environment::default().can_need_roots());
    }

    #[test]
    fn empty_variable_counts_as_unset() {
        let env = Environment::from([("MSI_ENDPOINT", ""), ("MSI_SECRET", "s")]);
        assert_eq!(env.read("MSI_ENDPOINT"), None);
        assert!(!env.has_all(&["MSI_ENDPOINT", "MSI_SECRET"]));
        assert!(env.has_all(&["MSI_SECRET"]));
    }
}
