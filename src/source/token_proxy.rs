//! AKS identity bindings: the cluster's own proxy passes a workload's token requests on to Microsoft Entra.
//!
//! Variables, names and errors are those of `WorkloadIdentityCredential` in @azure/identity 4.14.1, with its option
//! `enableAzureProxy`. The request is the one that Entra would get: only where it goes, and whom it trusts, differ.
//!
//! Concepts: <https://learn.microsoft.com/azure/aks/identity-bindings-concepts>

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Endpoint;
use crate::error::{Code, Error};
use crate::http::tls::{Roots, has_certificate, is_server_name};
use crate::http::{Request, Route};
use crate::options::ApplicationOptions;
use crate::platform::{Environment, LastCertificates, Pem, Platform, ReadError, variable};

/// The certificates of an authority, of which there are one or two.
const MAX_CERTIFICATES_BYTES: usize = 1_048_576;

/// The proxy of a cluster.
pub(super) struct TokenProxy {
    url: Endpoint,
    server_name: Option<String>,
    authority: Authority,
}

/// Who vouches for the proxy's certificate.
enum Authority {
    /// The roots of this process.
    Process,
    /// `AZURE_KUBERNETES_CA_DATA`.
    Data(Pem),
    /// `AZURE_KUBERNETES_CA_FILE`, which the cluster can replace at any time; and what it held last.
    File(PathBuf, Arc<LastCertificates>),
}

impl TokenProxy {
    /// The proxy that the environment names, if the application wants one. Nothing is read but the environment.
    pub(super) fn from_environment(
        env: &Environment,
        options: &ApplicationOptions,
    ) -> Result<Option<Self>, Error> {
        let Some(last) = &options.azure_proxy else {
            return Ok(None);
        };
        let others = [
            variable::AZURE_KUBERNETES_SNI_NAME,
            variable::AZURE_KUBERNETES_CA_FILE,
            variable::AZURE_KUBERNETES_CA_DATA,
        ];
        let Some(url) = env.read(variable::AZURE_KUBERNETES_TOKEN_PROXY) else {
            return match others.into_iter().find(|name| env.read(name).is_some()) {
                None => Ok(None),
                Some(other) => Err(invalid(format!(
                    "The environment variable {other} is set, but {} is not, which names the proxy that it is for.",
                    variable::AZURE_KUBERNETES_TOKEN_PROXY
                ))),
            };
        };
        let server_name = env.read(variable::AZURE_KUBERNETES_SNI_NAME);
        if server_name.is_some_and(|name| !is_server_name(name)) {
            return Err(invalid(format!(
                "The environment variable {} is not a host name.",
                variable::AZURE_KUBERNETES_SNI_NAME
            )));
        }
        Ok(Some(Self {
            url: parse_url(url)?,
            server_name: server_name.map(str::to_owned),
            authority: Authority::from_environment(env, last)?,
        }))
    }

    /// Where a request to this endpoint of Entra's goes in its place: the proxy's path, then Entra's.
    pub(super) fn endpoint(&self, entra: &Endpoint) -> Result<Endpoint, Error> {
        self.url
            .clone()
            .with_path(entra.path())
            .ok_or_else(|| invalid_url("is a URL with a query (?), which the proxy's cannot have"))
    }

    /// Sends a request that way.
    pub(super) fn route_request(&self, mut request: Request, platform: &Platform) -> Result<Request, Error> {
        match &self.authority {
            Authority::Process => {}
            Authority::Data(pem) => request.roots = Roots::Only(pem.clone()),
            Authority::File(path, last) => {
                request.roots = Roots::Only(read_certificates(path, last, platform)?);
            }
        }
        Ok(request.with_route(Route::TokenProxy {
            server_name: self.server_name.clone(),
        }))
    }

    /// Whether a caller's own HTTP client would have to know more than a URL.
    pub(super) fn needs_native_transport(&self) -> bool {
        self.server_name.is_some() || !matches!(self.authority, Authority::Process)
    }
}

impl Authority {
    fn from_environment(env: &Environment, last: &Arc<LastCertificates>) -> Result<Self, Error> {
        let data = env.read(variable::AZURE_KUBERNETES_CA_DATA);
        let file = env.read(variable::AZURE_KUBERNETES_CA_FILE);
        match (data, file) {
            (None, None) => Ok(Self::Process),
            (Some(_), Some(_)) => Err(invalid(format!(
                "The environment variables {} and {} are both set; only one of them can name the proxy's authority.",
                variable::AZURE_KUBERNETES_CA_DATA,
                variable::AZURE_KUBERNETES_CA_FILE
            ))),
            (None, Some(file)) => Ok(Self::File(file.into(), last.clone())),
            (Some(data), None) if has_certificate(data.as_bytes()) => {
                Ok(Self::Data(Pem::new(data.as_bytes())))
            }
            (Some(_), None) => Err(invalid(format!(
                "The environment variable {} holds no PEM certificate that can be read.",
                variable::AZURE_KUBERNETES_CA_DATA
            ))),
        }
    }
}

/// The certificates in a file. It can be empty for a moment while it is replaced: then those count that it held last.
fn read_certificates(path: &Path, last: &LastCertificates, platform: &Platform) -> Result<Pem, Error> {
    let unusable = |why: &str| {
        invalid(format!(
            "The file that {} names ({}) {why}.",
            variable::AZURE_KUBERNETES_CA_FILE,
            path.display()
        ))
    };
    let bytes = platform
        .files
        .read(path, MAX_CERTIFICATES_BYTES, true)
        .map_err(|fault| match fault {
            ReadError::NotAFile => unusable("is not a regular file"),
            ReadError::PermissionDenied(error) | ReadError::Io(error) => {
                unusable(&format!("cannot be read ({error})"))
            }
            ReadError::TooLarge => unusable("is larger than the certificates of an authority"),
        })?;
    if bytes.is_empty() {
        return last.get(path).ok_or_else(|| unusable("is empty"));
    }
    if !has_certificate(&bytes) {
        return Err(unusable("holds no PEM certificate that can be read"));
    }
    let pem = Pem::new(bytes.as_slice());
    last.set(path, &pem);
    Ok(pem)
}

fn parse_url(text: &str) -> Result<Endpoint, Error> {
    let url = Endpoint::parse(
        variable::AZURE_KUBERNETES_TOKEN_PROXY,
        &Code::InvalidConfiguration,
        text,
    )?;
    if url.is_https() {
        Ok(url)
    } else {
        Err(invalid_url(
            "is not an https URL; the assertion would go out in the clear",
        ))
    }
}

fn invalid_url(why: &str) -> Error {
    let name = variable::AZURE_KUBERNETES_TOKEN_PROXY;
    invalid(format!("The environment variable {name} {why}."))
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidConfiguration, message)
}
