//! AKS identity bindings: a proxy of the cluster forwards a workload's token requests to Microsoft Entra.
//!
//! The variables and the conditions of errors are those of `WorkloadIdentityCredential` in @azure/identity 4.14.1 with its
//! option `enableAzureProxy`. The request is the same as for Entra; only its address and the trusted certificates differ.
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

/// Far more than the one or two certificates of an authority.
const MAX_CERTIFICATES_BYTES: usize = 1_048_576;

/// The token proxy of a cluster.
pub(super) struct TokenProxy {
    url: Endpoint,
    server_name: Option<String>,
    authority: Authority,
}

/// The certificate authority of the proxy.
enum Authority {
    /// The trust roots of this process.
    Process,
    /// The certificates in `AZURE_KUBERNETES_CA_DATA`.
    Data(Pem),
    /// The path in `AZURE_KUBERNETES_CA_FILE`, whose file the cluster may replace at any time, and its last known content.
    File(PathBuf, Arc<LastCertificates>),
}

impl TokenProxy {
    /// Reads the proxy from the environment; `None` if the option or the variables are not set. Reads no file.
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
                    "The environment variable {other} is set, but {}, the URL of the proxy that it is for, is not.",
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

    /// Returns the proxy's address for an endpoint of Entra: the path of the proxy, then the path of the endpoint.
    pub(super) fn endpoint(&self, entra: &Endpoint) -> Result<Endpoint, Error> {
        self.url
            .clone()
            .with_path(entra.path())
            .ok_or_else(|| invalid_url("is a URL with a query (?), which a proxy cannot have"))
    }

    /// Routes a request through the proxy. Reads the certificate file.
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

    /// Returns whether the proxy needs TLS settings that the caller's own HTTP client does not have.
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
                "The environment variables {} and {} are both set. Set only one of them.",
                variable::AZURE_KUBERNETES_CA_DATA,
                variable::AZURE_KUBERNETES_CA_FILE
            ))),
            (None, Some(file)) => Ok(Self::File(file.into(), last.clone())),
            (Some(data), None) if has_certificate(data.as_bytes()) => {
                Ok(Self::Data(Pem::new(data.as_bytes())))
            }
            (Some(_), None) => Err(invalid(format!(
                "The environment variable {} does not contain a readable PEM certificate.",
                variable::AZURE_KUBERNETES_CA_DATA
            ))),
        }
    }
}

/// Reads the certificates of a file. While it is being replaced the file may be empty: its last known content is used.
fn read_certificates(path: &Path, last: &LastCertificates, platform: &Platform) -> Result<Pem, Error> {
    let unusable = |reason: &str| {
        invalid(format!(
            "The file in {} ({}) {reason}.",
            variable::AZURE_KUBERNETES_CA_FILE,
            path.display()
        ))
    };
    let bytes = platform
        .files
        .read(path, MAX_CERTIFICATES_BYTES, true)
        .map_err(|error| match error {
            ReadError::NotAFile => unusable("is not a regular file"),
            ReadError::PermissionDenied(error) | ReadError::Io(error) => {
                unusable(&format!("cannot be read ({error})"))
            }
            ReadError::TooLarge => unusable("is larger than 1 MiB"),
        })?;
    if bytes.is_empty() {
        return last.get(path).ok_or_else(|| unusable("is empty"));
    }
    if !has_certificate(&bytes) {
        return Err(unusable("does not contain a readable PEM certificate"));
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
            "is not an https URL; the assertion would be sent unencrypted",
        ))
    }
}

fn invalid_url(reason: &str) -> Error {
    let name = variable::AZURE_KUBERNETES_TOKEN_PROXY;
    invalid(format!("The environment variable {name} {reason}."))
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidConfiguration, message)
}
