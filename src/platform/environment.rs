//! A snapshot of the environment variables, passed down with each call.
//!
//! JavaScript reads the variables, because a worker's `process.env` is a copy of its own and a native `getenv` races with
//! `setenv`. The rest of the crate reads this snapshot only.

use std::collections::HashMap;
use std::sync::Arc;

use super::NodeRootsReader;

/// The names of all variables that this crate reads.
pub mod variable {
    /// App Service, Service Fabric, Azure Arc: the token endpoint.
    pub const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
    /// App Service, Service Fabric: the secret that authenticates requests to the endpoint.
    pub const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
    /// Service Fabric: the SHA-1 thumbprint of the endpoint's certificate.
    pub const IDENTITY_SERVER_THUMBPRINT: &str = "IDENTITY_SERVER_THUMBPRINT";
    /// Azure Arc: the URL of its metadata service.
    pub const IMDS_ENDPOINT: &str = "IMDS_ENDPOINT";
    /// Cloud Shell, Machine Learning: the token endpoint.
    pub const MSI_ENDPOINT: &str = "MSI_ENDPOINT";
    /// Machine Learning: the secret that authenticates requests to the endpoint.
    pub const MSI_SECRET: &str = "MSI_SECRET";
    /// Machine Learning: the client id of the identity that is used when the application names none.
    pub const DEFAULT_IDENTITY_CLIENT_ID: &str = "DEFAULT_IDENTITY_CLIENT_ID";
    /// IMDS: a base URL that replaces <http://169.254.169.254>.
    pub const AZURE_POD_IDENTITY_AUTHORITY_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
    /// Workload identity: the path of the file with the federated token.
    pub const AZURE_FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
    /// Workload identity: the tenant.
    pub const AZURE_TENANT_ID: &str = "AZURE_TENANT_ID";
    /// Workload identity: the client id when the application names none.
    pub const AZURE_CLIENT_ID: &str = "AZURE_CLIENT_ID";
    /// Workload identity: the authority, if it is not that of the public cloud.
    pub const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
    /// Workload identity with `system.enableAzureProxy`: the https URL of the cluster's token proxy.
    pub const AZURE_KUBERNETES_TOKEN_PROXY: &str = "AZURE_KUBERNETES_TOKEN_PROXY";
    /// The server name of the TLS handshake with that proxy, which replaces the host of the URL.
    pub const AZURE_KUBERNETES_SNI_NAME: &str = "AZURE_KUBERNETES_SNI_NAME";
    /// The path of a PEM file with the only trust roots for that proxy. Read for each request.
    pub const AZURE_KUBERNETES_CA_FILE: &str = "AZURE_KUBERNETES_CA_FILE";
    /// The only trust roots for that proxy, as PEM text.
    pub const AZURE_KUBERNETES_CA_DATA: &str = "AZURE_KUBERNETES_CA_DATA";
    /// Workload identity: the proxy for https.
    pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
    /// Workload identity: the proxy for https, in curl's spelling, which takes precedence.
    pub const HTTPS_PROXY_LOWER: &str = "https_proxy";
    /// Workload identity: hosts that are connected to without the proxy.
    pub const NO_PROXY: &str = "NO_PROXY";
    /// Workload identity: hosts that are connected to without the proxy, in curl's spelling, which takes precedence.
    pub const NO_PROXY_LOWER: &str = "no_proxy";
    /// All https endpoints except Service Fabric's: the path of a PEM file with additional trust roots.
    pub const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";
    /// Azure Arc on Windows: the directory above that of its executable.
    pub const PROGRAM_FILES: &str = "ProgramFiles";
    /// Azure Arc on Windows: the directory above that of its key files.
    pub const PROGRAM_DATA: &str = "ProgramData";

    /// The variables that contain the URL of a token endpoint, which can be https.
    pub(super) const ENDPOINTS: &[&str] =
        &[IDENTITY_ENDPOINT, MSI_ENDPOINT, AZURE_POD_IDENTITY_AUTHORITY_HOST];

    /// All variables that have an effect on this platform. JavaScript reads these. They are in the order of detection, so
    /// that a prefix of the list determines a source; see
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

/// A snapshot of the environment. An empty variable counts as unset.
///
/// Has no `Debug`, because some values are secrets.
#[derive(Clone, Default)]
pub struct Environment {
    values: HashMap<String, String>,
    node_roots: Option<Arc<dyn NodeRootsReader>>,
}

impl Environment {
    /// Returns the value of a variable; `None` if it is unset or empty.
    pub fn read(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns whether the endpoint of the detected source can be https, so that trust roots may be needed.
    pub fn can_need_roots(&self) -> bool {
        let has_https_url = |name: &&str| {
            let is_https = |value: &str| {
                value
                    .trim_start()
                    .get(..6)
                    .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
            };
            self.read(name).is_some_and(is_https)
        };
        self.read(variable::AZURE_FEDERATED_TOKEN_FILE).is_some()
            || variable::ENDPOINTS.iter().any(has_https_url)
    }

    /// Sets the reader of the calling thread's trust roots.
    pub fn set_node_roots(&mut self, reader: Arc<dyn NodeRootsReader>) {
        self.node_roots = Some(reader);
    }

    /// Returns the reader of the calling thread's trust roots.
    pub fn node_roots(&self) -> Option<&Arc<dyn NodeRootsReader>> {
        self.node_roots.as_ref()
    }

    /// Returns whether all of these variables are set.
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
        for (name, value, expected) in [
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
                expected,
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
