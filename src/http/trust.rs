//! Whom an https endpoint must convince: the system's trust roots, and for an endpoint on the
//! internet the roots and the proxy that the environment names.
//!
//! Everything is built from what was handed down: nothing here lets a library read the process's
//! environment. The roots are read when the first https request needs them, since that takes
//! milliseconds and memory.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Cause, Code, Error};
use crate::http::{Fault, FaultKind, Url};
use crate::machine::{Environment, Machine, variable};

/// A file of extra trust roots is no longer than this.
const CERTIFICATES_LIMIT: usize = 4_194_304;

/// What the environment says about the way over the internet.
///
/// It has no `Debug` that shows it: a proxy's address may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Internet {
    /// The proxy for https.
    pub proxy: Option<String>,
    /// Hosts that need none.
    pub no_proxy: Option<String>,
    /// A PEM file of further trust roots.
    pub extra_certificates: Option<String>,
}

impl Internet {
    /// Reads it from the environment; the lower-case spelling wins, as it does for curl.
    ///
    /// A proxy that is not an http or https URL is an error that names the variable: a proxy that is mandatory must not
    /// be passed by silently.
    pub fn of(env: &Environment) -> Result<Self, Error> {
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
            .map(|(name, url)| proxy_url(name, url))
            .transpose()?;
        Ok(Self {
            proxy,
            no_proxy,
            extra_certificates: env.read(variable::NODE_EXTRA_CA_CERTS).map(str::to_owned),
        })
    }
}

/// The URL of a proxy. It is not repeated in the error: it may hold a password.
fn proxy_url(name: &str, text: &str) -> Result<String, Error> {
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

impl fmt::Debug for Internet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Internet")
            .field("proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

/// A configuration that trusts nobody: for plain http, where reqwest wants one all the same.
pub fn nobody() -> Result<ClientConfig, Fault> {
    Ok(builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// A configuration that trusts the system's roots and those of one more file.
pub fn system(machine: &Machine, extra_certificates: Option<&str>) -> Result<ClientConfig, Fault> {
    let extra = match extra_certificates {
        Some(path) => certificates(machine, path).ok_or_else(|| {
            tls(format!(
                "NODE_EXTRA_CA_CERTS names {path}, which holds no readable certificate"
            ))
        })?,
        None => Vec::new(),
    };
    platform(machine, extra)
}

/// The start of every TLS configuration here: ring, and the versions that rustls holds safe.
pub fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Fault> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(error.to_string()))
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
fn platform(machine: &Machine, extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Fault> {
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = BUNDLES.iter().find_map(|path| certificates(machine, path)) {
        roots.add_parsable_certificates(bundle);
    }
    roots.add_parsable_certificates(extra);
    if roots.is_empty() {
        return Err(tls(format!(
            "the system has no trust roots: none of {} can be read",
            BUNDLES.join(", ")
        )));
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(any(windows, target_vendor = "apple"))]
fn platform(_: &Machine, extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)
        .map_err(|error| tls(error.to_string()))?;
    Ok(builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The certificates of a PEM file; `None` if there is none that can be read.
fn certificates(machine: &Machine, path: &str) -> Option<Vec<CertificateDer<'static>>> {
    let pem = machine
        .files
        .read(Path::new(path), CERTIFICATES_LIMIT, true)
        .ok()?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .collect();
    (!found.is_empty()).then_some(found)
}

fn tls(message: String) -> Fault {
    Fault {
        kind: FaultKind::Tls,
        cause: Some(Cause { code: None, message }),
    }
}
