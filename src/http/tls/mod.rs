//! TLS configurations and their trust roots, and the proxy of the environment.
//!
//! Everything is built from values that the caller passes in: no library reads the process's environment here. The roots
//! are read when the first https request needs them, because that takes milliseconds and memory.
//!
//! Over 300 lines, because the roots of each platform are built in one place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use crate::error::{Cause, Code, Error};
use crate::http::timer::timeout_at;
use crate::http::{Request, TransportError, TransportErrorKind, Url};
use crate::locking::lock;
use crate::platform::{Environment, NodeRoots, NodeRootsReader, Pem, Platform, variable};

/// The largest file of trust roots that is read.
const CERTIFICATES_LIMIT: usize = 4_194_304;
/// The queue of the blocking pool in which the system's trust roots are read.
const SYSTEM_ROOTS: &str = "the system's trust roots";

/// The proxy settings of the environment.
///
/// `Debug` does not print them, because a proxy URL may contain a password.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// The URL of the proxy for https.
    pub proxy: Option<String>,
    /// The value of `NO_PROXY`: hosts that are connected to without a proxy.
    pub no_proxy: Option<String>,
}

impl ProxyConfig {
    /// Reads the settings from the environment. The lower-case spelling of a variable takes precedence, as in curl.
    ///
    /// A value that is not an http or https URL is an error that names the variable, because a mandatory proxy must not be
    /// bypassed silently.
    pub fn from_environment(env: &Environment) -> Result<Self, Error> {
        let either = |lower, upper| {
            [lower, upper]
                .into_iter()
                .find_map(|name| Some((name, env.read(name)?)))
        };
        let no_proxy =
            either(variable::NO_PROXY_LOWER, variable::NO_PROXY).map(|(_, hosts)| hosts.to_owned());
        // hyper-util's matcher applies the asterisk to host names only, not to IP addresses.
        let is_disabled = no_proxy
            .iter()
            .flat_map(|list| list.split(','))
            .any(|host| host.trim() == "*");
        let proxy = either(variable::HTTPS_PROXY_LOWER, variable::HTTPS_PROXY)
            .filter(|_| !is_disabled)
            .map(|(name, url)| parse_proxy_url(name, url))
            .transpose()?;
        Ok(Self { proxy, no_proxy })
    }
}

/// Validates the URL of a proxy. The error does not repeat it, because it may contain a password.
fn parse_proxy_url(name: &str, text: &str) -> Result<String, Error> {
    let is_http =
        Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_http {
        return Ok(text.trim().to_owned());
    }
    let message = format!(
        "The environment variable {name} is not an http or https URL. Write the address of the proxy as \
         http://host:port, without quotes, or unset the variable."
    );
    Err(Error::new(Code::InvalidConfiguration, message))
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig")
            .field("proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

/// The trust roots for the certificate of an https endpoint, unless its route pins one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Roots {
    /// The roots of this process: those that Node.js trusts and, unless the process has chosen these itself
    /// ([`NodeRoots::is_exclusive`]), those of the system and of the file in `NODE_EXTRA_CA_CERTS`.
    Process {
        /// The roots that Node.js trusts, if JavaScript has supplied them.
        node: Option<NodeRoots>,
        /// The value of `NODE_EXTRA_CA_CERTS`.
        extra_file: Option<String>,
    },
    /// Only these certificates.
    Only(Pem),
}

impl Roots {
    /// Returns the queue of the blocking pool in which the roots are read. A file of extra roots has the queue of its
    /// directory, so that one that hangs does not delay reading other roots.
    fn blocking_queue(&self) -> Cow<'_, str> {
        match self {
            Self::Process {
                extra_file: Some(path),
                ..
            } => Path::new(path)
                .parent()
                .map_or(Cow::Borrowed(SYSTEM_ROOTS), Path::to_string_lossy),
            Self::Process { .. } | Self::Only(_) => Cow::Borrowed(SYSTEM_ROOTS),
        }
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::Process {
            node: None,
            extra_file: None,
        }
    }
}

/// The sources of one call's trust roots. They are read when its request turns out to need them.
#[derive(Clone, Default)]
pub struct ProcessRoots {
    node: Option<Arc<dyn NodeRootsReader>>,
    extra_file: Option<String>,
}

impl ProcessRoots {
    /// Returns the sources for the thread and the environment of a call.
    pub fn from_environment(env: &Environment) -> Self {
        Self {
            node: env.node_roots().cloned(),
            extra_file: env.read(variable::NODE_EXTRA_CA_CERTS).map(str::to_owned),
        }
    }

    /// Sets a request's trust roots to those of this process, if it needs them.
    ///
    /// If the JavaScript thread does not supply its roots within `limit`, only the other roots are used.
    pub async fn attach_to(&self, request: &mut Request, limit: Duration) {
        if request.needs_process_roots() {
            let node = match &self.node {
                Some(reader) => timeout_at(Instant::now() + limit, reader.read()).await.flatten(),
                None => None,
            };
            request.roots = Roots::Process {
                node,
                extra_file: self.extra_file.clone(),
            };
        }
    }
}

/// A TLS configuration, and a warning for the log.
#[derive(Clone)]
pub struct BuiltConfig {
    /// The configuration.
    pub config: Arc<ClientConfig>,
    /// Which roots were left out, and why.
    pub warning: Option<String>,
}

/// The TLS configurations of this process, by their trust roots.
#[derive(Default)]
pub struct ClientConfigs(Mutex<HashMap<Roots, BuiltConfig>>);

/// The most configurations that are kept. A process needs one or two; more result from roots that change.
const MAX_CONFIGS: usize = 8;

impl ClientConfigs {
    /// Returns the configuration that trusts these roots. Builds it on a thread of the blocking pool if there is none,
    /// because files are read.
    pub async fn get(&self, platform: &Platform, roots: &Roots) -> Result<BuiltConfig, TransportError> {
        if let Some(built) = self.lock().get(roots) {
            return Ok(built.clone());
        }
        let (owned_platform, owned_roots) = (platform.clone(), roots.clone());
        let build = move || client_config(&owned_platform, &owned_roots);
        let built = platform.blocking.run(&roots.blocking_queue(), build).await;
        let built = built.unwrap_or_else(|| {
            Err(tls_error(
                "internal error: reading the trust roots panicked".to_owned(),
            ))
        })?;
        let mut configs = self.lock();
        if configs.len() >= MAX_CONFIGS {
            configs.clear();
        }
        // After a warning the roots are read again next time, because a missing file may exist by then.
        if built.warning.is_none() {
            configs.insert(roots.clone(), built.clone());
        }
        Ok(built)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Roots, BuiltConfig>> {
        lock(&self.0)
    }
}

/// Builds a configuration that trusts these roots. Blocks, because it reads files.
pub fn client_config(platform: &Platform, roots: &Roots) -> Result<BuiltConfig, TransportError> {
    let (config, warning) = match roots {
        Roots::Only(pem) => (tls_with_roots(parse_certificates(pem.as_bytes()))?, None),
        Roots::Process { node: Some(node), .. } if node.is_exclusive => (
            tls_with_roots(parse_certificates(node.certificates.as_bytes()))?,
            None,
        ),
        Roots::Process { node, extra_file } => {
            let mut additional = node
                .as_ref()
                .map(|node| parse_certificates(node.certificates.as_bytes()))
                .unwrap_or_default();
            let warning = extra_file.as_deref().and_then(|path| match read_certificates(platform, path) {
                Some(found) => {
                    additional.extend(found);
                    None
                }
                None => Some(format!(
                    "NODE_EXTRA_CA_CERTS names {path}, which does not contain a readable certificate; the variable is ignored"
                )),
            });
            (tls_with_system_roots(platform, additional)?, warning)
        }
    };
    Ok(BuiltConfig {
        config: Arc::new(config),
        warning,
    })
}

/// Builds a configuration that trusts only these certificates.
fn tls_with_roots(certificates: Vec<CertificateDer<'static>>) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(tls_error(
            "there are no trust roots: none of the certificates can be read".to_owned(),
        ));
    }
    Ok(tls_builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Starts a TLS configuration: with ring, and with the protocol versions that rustls considers safe.
pub fn tls_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TransportError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(error.to_string()))
}

/// The trust roots of Linux and BSD distributions. The first file that can be read is used.
#[cfg(not(any(windows, target_vendor = "apple")))]
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL, Azure Linux
    "/etc/pki/tls/certs/ca-bundle.crt",   // older Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine without its package, BSD
];

#[cfg(not(any(windows, target_vendor = "apple")))]
fn tls_with_system_roots(
    platform: &Platform,
    additional: Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = BUNDLES.iter().find_map(|path| read_certificates(platform, path)) {
        roots.add_parsable_certificates(bundle);
    }
    roots.add_parsable_certificates(additional);
    if roots.is_empty() {
        return Err(tls_error(format!(
            "there are no trust roots: Node.js provided none, and none of {} can be read",
            BUNDLES.join(", ")
        )));
    }
    Ok(tls_builder()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(any(windows, target_vendor = "apple"))]
fn tls_with_system_roots(
    _: &Platform,
    mut additional: Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, TransportError> {
    // The verifier rejects all certificates if one of them cannot be parsed.
    additional.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // With extra roots the verifier on Windows also builds a chain engine of its own.
    let verifier = if additional.is_empty() {
        rustls_platform_verifier::Verifier::new(provider)
    } else {
        rustls_platform_verifier::Verifier::new_with_extra_roots(additional, provider)
    };
    let verifier = verifier.map_err(|error| tls_error(error.to_string()))?;
    Ok(tls_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Reads the certificates of a PEM file; `None` if it contains none or cannot be read.
fn read_certificates(platform: &Platform, path: &str) -> Option<Vec<CertificateDer<'static>>> {
    let pem = platform
        .files
        .read(Path::new(path), CERTIFICATES_LIMIT, true)
        .ok()?;
    Some(parse_certificates(&pem)).filter(|found| !found.is_empty())
}

/// Parses the certificates of a PEM text. Everything else in it is skipped.
fn parse_certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .collect()
}

/// Returns whether a PEM text contains a certificate that can be a trust root.
pub fn has_certificate(pem: &[u8]) -> bool {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(parse_certificates(pem)).0 > 0
}

/// Returns whether a string can be the server name of a TLS handshake (SNI): a DNS name.
pub fn is_server_name(text: &str) -> bool {
    matches!(ServerName::try_from(text), Ok(ServerName::DnsName(_)))
}

fn tls_error(message: String) -> TransportError {
    TransportError {
        kind: TransportErrorKind::Tls,
        cause: Some(Cause { code: None, message }),
    }
}

#[cfg(test)]
mod tests;
