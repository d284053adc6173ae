//! Workload identity: Microsoft Entra exchanges the service account token that Kubernetes writes to a file.
//!
//! Specification: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential>

use std::io;
use std::path::{Path, PathBuf};

use super::claims_request;
use super::endpoint::form_urlencode;
use super::token_proxy::TokenProxy;
use super::{Endpoint, Source, SourceDescriptor, SourceName, TokenQuery, read_client_id};
use crate::error::{Cause, Code, Error};
use crate::http::retry_policy::{self, RetryPolicy};
use crate::http::tls::ProxyConfig;
use crate::http::{Request, Route, local_error};
use crate::options::ApplicationOptions;
use crate::options::identity::{IdKind, Identity};
use crate::platform::{Environment, Platform, ReadError, variable};
use crate::token::Secret;

const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com";
const PATH: &str = "/oauth2/v2.0/token";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const ASSERTION_TYPE: (&str, &str) = (
    "client_assertion_type",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
);
const ASSERTION: &str = "client_assertion";
const CLIENT_ID: &str = "client_id";
const CLAIMS: &str = "claims";
const SCOPE: &str = "scope";
const SCOPE_SUFFIX: &str = "/.default";
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Service account tokens of Kubernetes have about 2 KiB.
const MAX_ASSERTION_BYTES: usize = 65_536;

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::WorkloadIdentity,
    // Without a client id too: otherwise the node's identity would silently replace the pod's.
    detect: |env, _, _| env.has_all(&[variable::AZURE_FEDERATED_TOKEN_FILE, variable::AZURE_TENANT_ID]),
    create,
};

/// Returns whether the options or the environment name a client id.
pub(super) fn has_client_id(env: &Environment, options: &ApplicationOptions) -> bool {
    let is_option = matches!(
        options.identity,
        Identity::UserAssigned {
            kind: IdKind::ClientId,
            ..
        }
    );
    is_option || env.read(variable::AZURE_CLIENT_ID).is_some()
}

fn create(env: &Environment, options: &ApplicationOptions) -> Result<Box<dyn Source>, Error> {
    if !has_client_id(env, options) {
        let message = "AZURE_FEDERATED_TOKEN_FILE and AZURE_TENANT_ID are set, as in a pod with a workload identity, \
                       but the client id is missing. Set AZURE_CLIENT_ID or \
                       managedIdentityIdParams.userAssignedClientId, or annotate the pod's service account with \
                       azure.workload.identity/client-id and create the pod again. To use the node's identity \
                       instead, set the option source: \"Imds\".";
        return Err(Error::new(Code::InvalidConfiguration, message));
    }
    let client_id = match &options.identity {
        Identity::SystemAssigned => read_client_id(env, variable::AZURE_CLIENT_ID)?.unwrap_or_default(),
        Identity::UserAssigned {
            kind: IdKind::ClientId,
            id,
        } => id.clone(),
        Identity::UserAssigned { kind, .. } => {
            let message = format!(
                "A workload identity is identified by its client id only. Use \
                 managedIdentityIdParams.userAssignedClientId instead of .{}.",
                kind.option()
            );
            return Err(Error::new(Code::InvalidIdType, message));
        }
    };
    let tenant = env.read(variable::AZURE_TENANT_ID).unwrap_or_default();
    if !tenant
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    {
        let message =
            "The environment variable AZURE_TENANT_ID is neither a tenant's GUID nor its domain name.";
        return Err(Error::new(Code::InvalidConfiguration, message));
    }
    let authority = Endpoint::parse(
        variable::AZURE_AUTHORITY_HOST,
        &Code::InvalidConfiguration,
        env.read(variable::AZURE_AUTHORITY_HOST)
            .unwrap_or(DEFAULT_AUTHORITY),
    )?;
    let endpoint = authority.with_path(&format!("/{tenant}{PATH}")).ok_or_else(|| {
        let message = "The environment variable AZURE_AUTHORITY_HOST is a URL with a query (?), which an authority \
                       cannot have.";
        Error::new(Code::InvalidConfiguration, message)
    })?;
    if !endpoint.is_https() {
        let message = "The environment variable AZURE_AUTHORITY_HOST is not an https URL; the assertion would be sent \
                       unencrypted.";
        return Err(Error::new(Code::InvalidConfiguration, message));
    }
    let route = match TokenProxy::from_environment(env, options)? {
        Some(proxy) => RequestRoute::TokenProxy(proxy),
        None => RequestRoute::Direct(ProxyConfig::from_environment(env)?),
    };
    let endpoint = match &route {
        RequestRoute::TokenProxy(proxy) => proxy.endpoint(&endpoint)?,
        RequestRoute::Direct(_) => endpoint,
    };
    Ok(Box::new(WorkloadIdentity {
        endpoint,
        client_id,
        file: env
            .read(variable::AZURE_FEDERATED_TOKEN_FILE)
            .unwrap_or_default()
            .into(),
        route,
    }))
}

struct WorkloadIdentity {
    endpoint: Endpoint,
    client_id: String,
    file: PathBuf,
    route: RequestRoute,
}

/// The route to Microsoft Entra.
enum RequestRoute {
    Direct(ProxyConfig),
    TokenProxy(TokenProxy),
}

impl WorkloadIdentity {
    fn with_route(&self, request: Request, platform: &Platform) -> Result<Request, Error> {
        match &self.route {
            RequestRoute::Direct(config) => Ok(request.with_route(Route::ProxyAware(config.clone()))),
            RequestRoute::TokenProxy(proxy) => proxy.route_request(request, platform),
        }
    }

    /// Reads the federated token for each request, because Kubernetes replaces it about every hour.
    fn read_assertion(&self, platform: &Platform) -> Result<Secret, Error> {
        let unusable = |reason: &str| {
            let message = format!(
                "The file in AZURE_FEDERATED_TOKEN_FILE ({}) {reason}. Check that the pod's service account token is \
                 projected there.",
                self.file.display()
            );
            Error::new(Code::UnableToReadSecretFile, message)
        };
        let bytes = platform
            .files
            .read(&self.file, MAX_ASSERTION_BYTES, true)
            .map_err(|error| match error {
                ReadError::NotAFile => unusable("is not a regular file"),
                ReadError::PermissionDenied(error) | ReadError::Io(error) => {
                    // A missing file means that the variables were copied to a machine that is not the pod.
                    let is_missing = matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    );
                    unusable(&format!("cannot be read ({error})")).map_details(|details| {
                        details.unavailable = is_missing;
                        details.cause = Some(Cause {
                            code: local_error::code(&error),
                            message: error.to_string(),
                        });
                    })
                }
                ReadError::TooLarge => unusable("is too large for a token"),
            })?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| unusable("is not UTF-8 text"))?
            // Editors may add a byte order mark, which Entra would treat as part of the token.
            .trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK);
        if text.is_empty() {
            Err(unusable("is empty"))
        } else {
            Ok(Secret::new(text.to_owned()))
        }
    }
}

impl Source for WorkloadIdentity {
    fn name(&self) -> SourceName {
        DESCRIPTOR.name
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn policy(&self) -> &'static RetryPolicy {
        &retry_policy::DEFAULT
    }

    fn claims_parameter(&self, query: &TokenQuery) -> Result<Option<String>, Error> {
        claims_request::merge(query.claims.as_deref(), query.capabilities.as_deref())
    }

    fn cache_partition(&self) -> &str {
        &self.client_id
    }

    fn request_directory(&self) -> Option<&Path> {
        self.file.parent()
    }

    fn identity_id<'a>(&'a self, _: &'a TokenQuery) -> Option<&'a str> {
        Some(&self.client_id)
    }

    fn probe(&self, platform: &Platform) -> Result<Request, Error> {
        let assertion = self.read_assertion(platform)?;
        self.with_route(
            Request::get(self.endpoint.with_query(&[])).with_secret(assertion),
            platform,
        )
    }

    fn request(&self, query: &TokenQuery, platform: &Platform) -> Result<Request, Error> {
        let assertion = self.read_assertion(platform)?;
        let scope = format!("{}{SCOPE_SUFFIX}", query.resource.as_str());
        let claims = self.claims_parameter(query)?;
        let mut parameters = vec![
            GRANT,
            (CLIENT_ID, &*self.client_id),
            (SCOPE, &*scope),
            ASSERTION_TYPE,
            (ASSERTION, assertion.expose_secret()),
        ];
        parameters.extend(claims.as_deref().map(|claims| (CLAIMS, claims)));
        let request = Request::post(self.endpoint.with_query(&[]), form_urlencode(&parameters));
        self.with_route(request.with_secret(assertion), platform)
    }

    fn tls_remedy(&self) -> &'static str {
        match &self.route {
            RequestRoute::Direct(_) => self.name().tls_remedy(),
            RequestRoute::TokenProxy(_) => {
                "The certificate of the cluster's proxy must be issued by an authority in AZURE_KUBERNETES_CA_FILE or \
                 AZURE_KUBERNETES_CA_DATA, for the name in AZURE_KUBERNETES_SNI_NAME."
            }
        }
    }

    fn supports_custom_transport(&self) -> bool {
        !matches!(&self.route, RequestRoute::TokenProxy(proxy) if proxy.needs_native_transport())
    }
}
