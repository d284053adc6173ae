//! Token sources: detection, requests, and the meaning of responses.
//!
//! Each source has one file of the same structure: its wire constants, `create` (which rejects options that the source
//! does not support), `request` (a pure function) and, where a source needs it, `answer_challenge` or `verify_response`.
//! `SOURCES` is the order of detection. This module sends no requests: [`http::retry_loop`](crate::http::retry_loop) does.
//! The formats are those of docs/wire-protocol.md.

mod app_service;
mod azure_arc;
mod claims_request;
mod cloud_shell;
mod datetime;
mod endpoint;
mod entra_codes;
mod error_body;
mod error_context;
mod expiry;
mod imds;
mod imds_evidence;
mod json;
mod jwt;
mod machine_learning;
mod quotation;
mod resource_match;
mod service_fabric;
mod token_proxy;
mod token_response;
mod workload_identity;
mod www_authenticate;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::http::retry_policy::RetryPolicy;
use crate::http::{Request, Response};
use crate::options::identity::{IdKind, Identity, check_id};
use crate::options::resource::Resource;
use crate::options::{ApplicationOptions, UntypedValue};
use crate::platform::{Environment, Platform, variable};
use crate::token::Secret;

pub use self::endpoint::Endpoint;
pub use self::error_context::{ErrorContext, is_container_host, is_identity_missing};
pub use self::imds_evidence::{Evidence, RequestKind, imds_evidence};
pub use self::jwt::tenant_id;
pub use self::resource_match::is_other_resource;
pub use self::token_response::{GrantedToken, TokenResponse};
pub use crate::source_name::SourceName;

/// The parameters of a token request.
#[derive(Clone, Debug)]
pub struct TokenQuery {
    /// The resource (audience) of the token.
    pub resource: Resource,
    /// The managed identity of the token.
    pub identity: Identity,
    /// The client capabilities, joined by commas; sent as `xms_cc`.
    pub capabilities: Option<String>,
    /// The claims challenge of the service that refused a token: a JSON object. Only some sources send it.
    pub claims: Option<String>,
    /// The SHA-256 of the token that a service refused, as hexadecimal digits, if `claims` requests its replacement.
    pub refused_token_hash: Option<String>,
    /// The correlation id of this acquisition.
    pub correlation_id: String,
}

impl TokenQuery {
    /// Returns the query parameters that most sources share: version, resource, identity, refused token, capabilities.
    fn query_parameters<'a>(
        &'a self,
        api_version: &'a str,
        id: Option<(&'a str, &'a str)>,
    ) -> Vec<(&'a str, &'a str)> {
        let mut query = vec![(API_VERSION, api_version), (RESOURCE, self.resource.as_str())];
        query.extend(id);
        query.extend(
            self.refused_token_hash
                .as_deref()
                .map(|hash| (REFUSED_TOKEN, hash)),
        );
        query.extend(self.capabilities_parameter());
        query
    }

    fn capabilities_parameter(&self) -> Option<(&str, &str)> {
        self.capabilities
            .as_deref()
            .map(|capabilities| (CAPABILITIES, capabilities))
    }

    /// Returns the query parameter that names the identity. `resource_id` is the source's parameter name for a resource id.
    fn identity_parameter<'a>(&'a self, resource_id: &'static str) -> Option<(&'static str, &'a str)> {
        match &self.identity {
            Identity::SystemAssigned => None,
            Identity::UserAssigned { kind, id } => {
                let name = match kind {
                    IdKind::ClientId => "client_id",
                    IdKind::ObjectId => "object_id",
                    IdKind::ResourceId => resource_id,
                };
                Some((name, id))
            }
        }
    }
}

/// The header that IMDS and similar endpoints require: a request forged through a browser or a redirect lacks it.
const METADATA_HEADER: (&str, &str) = ("Metadata", "true");
/// The header in which Machine Learning and Service Fabric expect their secret.
const SECRET_HEADER: &str = "secret";
const API_VERSION: &str = "api-version";
const RESOURCE: &str = "resource";
const REFUSED_TOKEN: &str = "token_sha256_to_refresh";
const CAPABILITIES: &str = "xms_cc";
/// The parameter for a resource id at IMDS and Azure Arc.
const MSI_RESOURCE_ID: &str = "msi_res_id";
/// The parameter for a resource id at App Service.
const MI_RESOURCE_ID: &str = "mi_res_id";

/// A token source of one environment, with its endpoint and its secret.
pub trait Source: Send + Sync {
    /// Returns the name of the source.
    fn name(&self) -> SourceName;

    /// Returns the address that requests are sent to.
    fn endpoint(&self) -> &Endpoint;

    /// Returns the rules by which a failed request is retried.
    fn policy(&self) -> &'static RetryPolicy;

    /// Builds the request for a token.
    fn request(&self, query: &TokenQuery, platform: &Platform) -> Result<Request, Error>;

    /// Builds the request that checks whether the endpoint responds. It carries neither a secret nor the headers that a
    /// token request needs. Its [`secrets`](Request::secrets) are redacted from the response all the same.
    fn probe(&self, _: &Platform) -> Result<Request, Error> {
        let mut request = Request::get(self.endpoint().with_query(&[]));
        request.secrets.extend(self.secret().cloned());
        Ok(request)
    }

    /// Returns the secret of the environment that a token request carries.
    fn secret(&self) -> Option<&Secret> {
        None
    }

    /// Returns the directory whose files [`request`](Self::request) and [`probe`](Self::probe) read; `None` if they read
    /// no files.
    fn request_directory(&self) -> Option<&Path> {
        None
    }

    /// Returns the directory whose files [`answer_challenge`](Self::answer_challenge) reads for this response; `None` if it
    /// reads no files.
    fn challenge_directory(&self, _: &Response) -> Option<&Path> {
        None
    }

    /// Builds the request that answers a challenge; `None` if the response is not a challenge.
    fn answer_challenge(&self, _: &TokenQuery, _: &Response, _: &Platform) -> Result<Option<Request>, Error> {
        Ok(None)
    }

    /// Checks that the response is for the identity of the query.
    fn verify_response(&self, _: &TokenQuery, _: &TokenResponse) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the id of the identity that requests name: from the options or from the environment.
    fn identity_id<'a>(&'a self, query: &'a TokenQuery) -> Option<&'a str> {
        query.identity.id()
    }

    /// Returns the `claims` parameter, in which challenge and capabilities are merged; `None` if the source has no such
    /// parameter.
    fn claims_parameter(&self, _: &TokenQuery) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// Returns the part of the cache key that distinguishes tokens of one endpoint, identity and resource.
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "sources with a partition borrow it"
    )]
    fn cache_partition(&self) -> &str {
        ""
    }

    /// Returns whether a request can name the refused token by its hash.
    fn supports_token_revocation_hash(&self) -> bool {
        false
    }

    /// Returns the advice for an endpoint that cannot be reached.
    fn unreachable_remedy(&self) -> &'static str {
        self.name().unreachable_remedy()
    }

    /// Returns the advice for a failed TLS handshake.
    fn tls_remedy(&self) -> &'static str {
        self.name().tls_remedy()
    }

    /// Returns whether this source is only the default (IMDS at its well-known address), so that the endpoint may not
    /// exist.
    fn needs_probe(&self) -> bool {
        false
    }

    /// Returns whether the caller's own HTTP client can send the requests.
    fn supports_custom_transport(&self) -> bool {
        true
    }
}

type SourceResult = Result<Arc<dyn Source>, Error>;
type CreateFn = fn(&Environment, &ApplicationOptions) -> Result<Box<dyn Source>, Error>;

/// How a source is detected and created.
struct SourceDescriptor {
    name: SourceName,
    detect: fn(&Environment, &ApplicationOptions, &Platform) -> bool,
    create: CreateFn,
}

/// The sources in the order of detection; the first one that is detected is used.
const SOURCES: [SourceDescriptor; 7] = [
    service_fabric::DESCRIPTOR,
    app_service::DESCRIPTOR,
    machine_learning::DESCRIPTOR,
    cloud_shell::DESCRIPTOR,
    azure_arc::DESCRIPTOR,
    workload_identity::DESCRIPTOR,
    imds::DESCRIPTOR,
];

/// Returns the source of this environment; `None` if the application's `source` option excludes it. Without that option
/// there always is a source, because IMDS needs no variable.
fn detect(
    env: &Environment,
    options: &ApplicationOptions,
    platform: &Platform,
) -> Option<&'static SourceDescriptor> {
    let is_detected = |source: &&SourceDescriptor| (source.detect)(env, options, platform);
    let Some(chosen) = &options.sources else {
        return SOURCES.iter().find(is_detected);
    };
    let chosen = || {
        chosen
            .iter()
            .filter_map(|name| SOURCES.iter().find(|source| source.name == *name))
    };
    let is_complete = |source: &&SourceDescriptor| {
        is_detected(source)
            && (source.name != SourceName::WorkloadIdentity || workload_identity::has_client_id(env, options))
    };
    // If no source is complete, a workload identity without a client id is used: `create` then reports the missing id.
    chosen().find(is_complete).or_else(|| chosen().find(is_detected))
}

/// Returns the name of the source without sending a request. If no chosen source is detected, returns the first chosen
/// one.
pub fn detect_name(env: &Environment, options: &ApplicationOptions, platform: &Platform) -> SourceName {
    let first = || {
        options
            .sources
            .as_ref()
            .and_then(|chosen| chosen.first().copied())
    };
    detect(env, options, platform)
        .map(|source| source.name)
        .or_else(first)
        .unwrap_or(SourceName::DefaultToImds)
}

/// Returns whether the environment has a source that the application may use.
pub fn is_any_detected(env: &Environment, options: &ApplicationOptions, platform: &Platform) -> bool {
    detect(env, options, platform).is_some()
}

/// Returns how many elements of [`variable::ALL`], from the front, determine the application's source and its requests.
/// An application may list its sources in any order, so the variables of every listed source count.
pub fn relevant_variable_count(options: &ApplicationOptions, found: SourceName, is_verified: bool) -> usize {
    if is_verified {
        // The roots of TLS depend on `NODE_EXTRA_CA_CERTS`, the last variable.
        return variable::ALL.len();
    }
    let chosen = options.sources.iter().flat_map(|chosen| chosen.iter());
    chosen
        .map(|name| name.relevant_variable_count())
        .fold(found.relevant_variable_count(), usize::max)
}

/// Returns the error for an application whose chosen sources are not in the environment.
fn no_source_error(chosen: &[SourceName]) -> Error {
    let needs = chosen.iter().filter_map(|name| {
        let needs = name.needs()?;
        Some(format!("{} needs {needs}", name.as_str()))
    });
    let message = format!(
        "The environment has no source that the option source allows: {}.",
        needs.collect::<Vec<_>>().join("; ")
    );
    Error::new(Code::InvalidConfiguration, message).map_details(|details| {
        details.source = chosen.first().copied();
        details.unavailable = true;
    })
}

/// Creates the source of this environment. Fails for a malformed variable, and for an option that the source does not
/// support.
pub fn create(env: &Environment, options: &ApplicationOptions, platform: &Platform) -> SourceResult {
    let Some(descriptor) = detect(env, options, platform) else {
        return Err(no_source_error(options.sources.as_deref().unwrap_or_default()));
    };
    let source = (descriptor.create)(env, options)
        .map_err(|error| error.map_details(|details| details.source = Some(descriptor.name)))?;
    if options.has_custom_transport && !source.supports_custom_transport() {
        let message = match descriptor.name {
            SourceName::WorkloadIdentity => {
                "system.networkClient cannot be used with the proxy of system.enableAzureProxy: the proxy has its own \
                 TLS server name or certificate authority, which only the native client supports. Remove one of the \
                 two options."
            }
            _ => {
                "system.networkClient cannot be used on Service Fabric: the endpoint's certificate is pinned, which \
                 only the native client supports. Remove the option."
            }
        };
        return Err(Error::new(Code::InvalidConfiguration, message)
            .map_details(|details| details.source = Some(descriptor.name)));
    }
    Ok(source.into())
}

/// Reads an endpoint from a variable that is set.
fn read_endpoint(env: &Environment, variable: &str, malformed: &Code) -> Result<Endpoint, Error> {
    Endpoint::parse(variable, malformed, env.read(variable).unwrap_or_default())
}

/// Reads a client id from a variable; `None` if the variable is not set.
fn read_client_id(env: &Environment, variable: &str) -> Result<Option<String>, Error> {
    env.read(variable)
        .map(|id| {
            let name = format!("The environment variable {variable}");
            check_id(&name, &UntypedValue::String(id.to_owned())).map(str::to_owned)
        })
        .transpose()
}

/// Reads a secret that is sent in a header. Trailing line ends are removed, as `fetch` does: they come from the file that
/// the variable was set from.
fn read_secret(env: &Environment, variable: &str) -> Result<Secret, Error> {
    let value = env
        .read(variable)
        .unwrap_or_default()
        .trim_end_matches(['\r', '\n']);
    let invalid = |content: &str| {
        let message = format!("The environment variable {variable} contains {content}.");
        Err(Error::new(Code::InvalidConfiguration, message))
    };
    if value.is_empty() {
        return invalid("only line ends");
    }
    if value
        .bytes()
        .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
    {
        return Ok(Secret::new(value.to_owned()));
    }
    invalid("characters that an HTTP header cannot carry")
}

#[cfg(test)]
mod tests;
