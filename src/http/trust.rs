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

use crate::error::Cause;
use crate::http::{Fault, FaultKind};
use crate::machine::{Environment, Machine, variable};

/// A file of extra trust roots is no longer than this.
const CERTIFICATES_LIMIT: usize = 4_194_304;
/// What reading the system's trust roots is called in the pool of threads.
const SYSTEM_ROOTS: &str = "the system's trust roots";

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
    pub fn of(env: &Environment) -> Self {
        let either = |lower, upper| env.read(lower).or_else(|| env.read(upper)).map(str::to_owned);
        let no_proxy = either(variable::NO_PROXY_LOWER, variable::NO_PROXY);
        // reqwest knows the asterisk for names only, not for addresses.
        let never = no_proxy
            .iter()
            .flat_map(|list| list.split(','))
            .any(|host| host.trim() == "*");
        Self {
            proxy: either(variable::HTTPS_PROXY_LOWER, variable::HTTPS_PROXY).filter(|_| !never),
            no_proxy,
            extra_certificates: env.read(variable::NODE_EXTRA_CA_CERTS).map(str::to_owned),
        }
    }
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

/// A configuration that trusts the system's roots and those of one more file. Reads files: see [`load`].
pub fn system(machine: &Machine, extra_certificates: Option<&str>) -> Result<ClientConfig, Fault> {
    let extra = extra_certificates.map_or_else(|| Ok(Vec::new()), |path| extra(machine, path))?;
    platform(machine, extra)
}

/// The same as [`system`], but reads the files on threads of the pool, so that it can be awaited on the network thread.
///
/// A file of extra roots that hangs does not keep the system's from being read for others.
pub async fn load(machine: &Machine, extra_certificates: Option<&str>) -> Result<ClientConfig, Fault> {
    let extra = match extra_certificates {
        None => Vec::new(),
        Some(path) => {
            let directory = Path::new(path).parent().map(Path::to_string_lossy);
            let place = directory.unwrap_or_default();
            let (path, files) = (path.to_owned(), machine.clone());
            in_pool(machine, &place, move || extra(&files, &path)).await?
        }
    };
    let files = machine.clone();
    in_pool(machine, SYSTEM_ROOTS, move || platform(&files, extra)).await
}

async fn in_pool<T: Send + 'static>(
    machine: &Machine,
    place: &str,
    read: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let internal = || tls("internal error: reading the trust roots ended without an outcome".to_owned());
    machine.blocking.run(place, read).await.ok_or_else(internal)?
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

/// The certificates of the file that `NODE_EXTRA_CA_CERTS` names.
fn extra(machine: &Machine, path: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    certificates(machine, path).ok_or_else(|| {
        tls(format!(
            "NODE_EXTRA_CA_CERTS names {path}, which holds no readable certificate"
        ))
    })
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

#[cfg(test)]
#[cfg(not(any(windows, target_vendor = "apple")))]
#[path = "trust_tests.rs"]
mod tests;
