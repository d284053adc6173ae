//! Whom an https endpoint must convince: the trust roots of this process. And the proxy that the environment names for
//! an endpoint on the internet.
//!
//! Everything is built from what was handed down: nothing here lets a library read the process's
//! environment. The roots are read when the first https request needs them, since that takes
//! milliseconds and memory.

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

/// A file of extra trust roots is no longer than this.
const CERTIFICATES_LIMIT: usize = 4_194_304;
/// What reading the system's trust roots is called in the pool of threads.
const SYSTEM_ROOTS: &str = "the system's trust roots";

/// What the environment says about the way over the internet.
///
/// It has no `Debug` that shows it: a proxy's address may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// The proxy for https.
    pub proxy: Option<String>,
    /// Hosts that need none.
    pub no_proxy: Option<String>,
}

impl ProxyConfig {
    /// Reads it from the environment; the lower-case spelling wins, as it does for curl.
    ///
    /// A proxy that is not an http or https URL is an error that names the variable: a proxy that is mandatory must not
    /// be passed by silently.
    pub fn from_environment(env: &Environment) -> Result<Self, Error> {
        let either = |lower, upper| {
            [lower, upper]
                .into_iter()
                .find_map(|name| Some((name, env.read(name)?)))
        };
        let no_proxy =
            either(variable::NO_PROXY_LOWER, variable::NO_PROXY).map(|(_, hosts)| hosts.to_owned());
        // reqwest knows the asterisk for names only, not for addresses.
        let never = no_proxy
            .iter()
            .flat_map(|list| list.split(','))
            .any(|host| host.trim() == "*");
        let proxy = either(variable::HTTPS_PROXY_LOWER, variable::HTTPS_PROXY)
            .filter(|_| !never)
            .map(|(name, url)| parse_proxy_url(name, url))
            .transpose()?;
        Ok(Self { proxy, no_proxy })
    }
}

/// The URL of a proxy. It is not repeated in the error: it may hold a password.
fn parse_proxy_url(name: &str, text: &str) -> Result<String, Error> {
    let is_web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_web {
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
        f.debug_struct("Internet")
            .field("proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

/// What may vouch for the certificate of an https endpoint, unless its route pins one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Roots {
    /// The roots of this process: those that Node.js trusts, and unless the process has chosen these itself, those of
    /// the system and of the file that `NODE_EXTRA_CA_CERTS` names.
    Process {
        /// What JavaScript handed down.
        node: Option<NodeRoots>,
        /// The value of `NODE_EXTRA_CA_CERTS`.
        extra_file: Option<String>,
    },
    /// These certificates and no others.
    Only(Pem),
}

impl Roots {
    /// What reading them is called in the pool of threads: a file of extra roots that hangs does not keep the roots of
    /// others from being read.
    fn place(&self) -> Cow<'_, str> {
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

/// Where the roots of one call come from; read once its request turns out to need them.
#[derive(Clone, Default)]
pub struct ProcessRoots {
    node: Option<Arc<dyn NodeRootsReader>>,
    extra_file: Option<String>,
}

impl ProcessRoots {
    /// Those of the thread and the environment that a call comes from.
    pub fn from_environment(env: &Environment) -> Self {
        Self {
            node: env.node_roots().cloned(),
            extra_file: env.read(variable::NODE_EXTRA_CA_CERTS).map(str::to_owned),
        }
    }

    /// Gives a request the roots of this process, if it is verified against them.
    ///
    /// A thread that does not hand its roots over within `limit` goes without: the others count.
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

/// A TLS configuration, and what its builder has to tell the reader of the log.
#[derive(Clone)]
pub struct BuiltConfig {
    /// The configuration.
    pub config: Arc<ClientConfig>,
    /// What was left out, and why.
    pub warning: Option<String>,
}

/// The TLS configurations of this process, by what each was built from.
#[derive(Default)]
pub struct ClientConfigs(Mutex<HashMap<Roots, BuiltConfig>>);

/// Configurations that are kept. A process has one or two; more come from roots that change.
const MAX_CONFIGS: usize = 8;

impl ClientConfigs {
    /// The configuration that trusts these roots. Files are read on a thread of the pool, unless it was built before.
    pub async fn get(&self, platform: &Platform, roots: &Roots) -> Result<BuiltConfig, TransportError> {
        if let Some(built) = self.lock().get(roots) {
            return Ok(built.clone());
        }
        let (files, wanted) = (platform.clone(), roots.clone());
        let read = move || client_config(&files, &wanted);
        let built = platform.blocking.run(&roots.place(), read).await;
        let built = built.unwrap_or_else(|| {
            Err(tls_error(
                "internal error: reading the trust roots ended without an outcome".to_owned(),
            ))
        })?;
        let mut kept = self.lock();
        if kept.len() >= MAX_CONFIGS {
            kept.clear();
        }
        // A file that was missing may be there next time.
        if built.warning.is_none() {
            kept.insert(roots.clone(), built.clone());
        }
        Ok(built)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Roots, BuiltConfig>> {
        lock(&self.0)
    }
}

/// Builds a configuration that trusts these roots. Reads files, so it can block.
pub fn client_config(platform: &Platform, roots: &Roots) -> Result<BuiltConfig, TransportError> {
    let (config, warning) = match roots {
        Roots::Only(pem) => (tls_with_only(parse_certificates(pem.as_bytes()))?, None),
        Roots::Process { node: Some(node), .. } if node.is_exclusive => (
            tls_with_only(parse_certificates(node.certificates.as_bytes()))?,
            None,
        ),
        Roots::Process { node, extra_file } => {
            let mut further = node
                .as_ref()
                .map(|node| parse_certificates(node.certificates.as_bytes()))
                .unwrap_or_default();
            let warning = extra_file.as_deref().and_then(|path| match read_certificates(platform, path) {
                Some(found) => {
                    further.extend(found);
                    None
                }
                None => Some(format!(
                    "NODE_EXTRA_CA_CERTS names {path}, which does not contain a readable certificate; the variable is ignored"
                )),
            });
            (tls_with_system_roots(platform, further)?, warning)
        }
    };
    Ok(BuiltConfig {
        config: Arc::new(config),
        warning,
    })
}

/// A configuration that trusts these certificates and nothing else.
fn tls_with_only(certificates: Vec<CertificateDer<'static>>) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(tls_error(
            "there are no trust roots: none of the certificates can be read".to_owned(),
        ));
    }
    Ok(tls_builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// The start of every TLS configuration here: ring, and the versions that rustls holds safe.
pub fn tls_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TransportError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(error.to_string()))
}

/// Where the distributions keep their trust roots; the first that can be read counts.
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
    further: Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = BUNDLES.iter().find_map(|path| read_certificates(platform, path)) {
        roots.add_parsable_certificates(bundle);
    }
    roots.add_parsable_certificates(further);
    if roots.is_empty() {
        return Err(tls_error(format!(
            "there are no trust roots: Node.js provided none, and none of {} can be read",
            BUNDLES.join(", ")
        )));
    }
    Ok(tls_builder()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(any(windows, target_vendor = "apple"))]
fn with_systems(
    _: &Platform,
    mut further: Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, TransportError> {
    // One that cannot be parsed would make the verifier refuse all.
    further.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(further, provider)
        .map_err(|error| tls_error(error.to_string()))?;
    Ok(tls_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The certificates of a PEM file; `None` if there is none that can be read.
fn read_certificates(platform: &Platform, path: &str) -> Option<Vec<CertificateDer<'static>>> {
    let pem = platform
        .files
        .read(Path::new(path), CERTIFICATES_LIMIT, true)
        .ok()?;
    Some(parse_certificates(&pem)).filter(|found| !found.is_empty())
}

/// The certificates of a PEM text. What is between them is skipped.
fn parse_certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .collect()
}

/// Whether a PEM text has a certificate that can vouch for a server.
pub fn has_certificate(pem: &[u8]) -> bool {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(parse_certificates(pem)).0 > 0
}

/// Whether a text can be the name that a TLS handshake asks for.
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
