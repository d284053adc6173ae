//! The hosts of managed identities: which one this is, and how each is asked.
//!
//! One file per host, each of one shape: its constants on the wire, `open` (which checks what the
//! host cannot do), `request` (pure) and, where a host differs, `challenge` or `confirm`. The order
//! of detection is `HOSTS`. Nothing here sends anything: see [`http::retry_loop`](crate::http::retry_loop).

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

/// What a token is asked for with.
#[derive(Clone, Debug)]
pub struct TokenQuery {
    /// What it is for.
    pub resource: Resource,
    /// Whose it is.
    pub identity: Identity,
    /// What goes out as `xms_cc`.
    pub capabilities: Option<String>,
    /// The claims challenge of a service that refused a token: a JSON object, for a source that takes it.
    pub claims: Option<String>,
    /// The SHA-256 of the token that a service refused, where claims ask for another.
    pub refused_token_hash: Option<String>,
    /// The id of this acquisition.
    pub correlation_id: String,
}

impl TokenQuery {
    /// The query that most hosts take: version, resource, identity, refused token, capabilities.
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

    /// The parameter that names the identity, where a host calls a resource id so.
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

/// What IMDS and its relatives want to see, since a forged request from a browser cannot have it.
const METADATA_HEADER: (&str, &str) = ("Metadata", "true");
/// Where Machine Learning and Service Fabric want to see their secret.
const SECRET_HEADER: &str = "secret";
const API_VERSION: &str = "api-version";
const RESOURCE: &str = "resource";
const REFUSED_TOKEN: &str = "token_sha256_to_refresh";
const CAPABILITIES: &str = "xms_cc";
/// A resource id's parameter at IMDS and Azure Arc.
const MSI_RESOURCE_ID: &str = "msi_res_id";
/// A resource id's parameter at App Service.
const MI_RESOURCE_ID: &str = "mi_res_id";

/// One host of managed identities, ready to be asked.
pub trait Source: Send + Sync {
    /// Which host it is.
    fn name(&self) -> SourceName;

    /// Where it is asked.
    fn endpoint(&self) -> &Endpoint;

    /// When it is asked again.
    fn policy(&self) -> &'static RetryPolicy;

    /// The request for a token.
    fn request(&self, query: &TokenQuery, platform: &Platform) -> Result<Request, Error>;

    /// A request that tells whether anybody is there: without a secret, and without what the endpoint
    /// would want to see before it made a token. Its [`secrets`](Request::secrets) are those that a response could repeat
    /// all the same.
    fn probe(&self, _: &Platform) -> Result<Request, Error> {
        let mut request = Request::get(self.endpoint().with_query(&[]));
        request.secrets.extend(self.secret().cloned());
        Ok(request)
    }

    /// The secret of the environment that goes along with a token request.
    fn secret(&self) -> Option<&Secret> {
        None
    }

    /// The directory whose files [`request`](Self::request) and [`probe`](Self::probe) read; `None` if they read none.
    fn request_directory(&self) -> Option<&Path> {
        None
    }

    /// The directory whose files [`answer_challenge`](Self::answer_challenge) reads for this response; `None` if it reads none.
    fn challenge_directory(&self, _: &Response) -> Option<&Path> {
        None
    }

    /// The request that answers a challenge; `None` if the answer is none.
    fn answer_challenge(&self, _: &TokenQuery, _: &Response, _: &Platform) -> Result<Option<Request>, Error> {
        Ok(None)
    }

    /// Checks that a token is the one that was asked for.
    fn verify_response(&self, _: &TokenQuery, _: &TokenResponse) -> Result<(), Error> {
        Ok(())
    }

    /// The id of the identity that a request names, be it from the options or from the environment.
    fn identity_id<'a>(&'a self, query: &'a TokenQuery) -> Option<&'a str> {
        query.identity.id()
    }

    /// The `claims` parameter of its requests, where it takes one: challenge and capabilities merged.
    fn claims_parameter(&self, _: &TokenQuery) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// What else tells one of its tokens from another, besides endpoint, identity and resource.
    #[expect(clippy::unnecessary_literal_bound, reason = "hosts that have one borrow it")]
    fn cache_partition(&self) -> &str {
        ""
    }

    /// Whether it can be told which token a service refused.
    fn supports_token_revocation_hash(&self) -> bool {
        false
    }

    /// What helps if nobody answers.
    fn unreachable_remedy(&self) -> &'static str {
        self.name().unreachable_remedy()
    }

    /// What helps if no TLS connection comes about.
    fn tls_remedy(&self) -> &'static str {
        self.name().tls_remedy()
    }

    /// Whether it was chosen only because nothing says that there is another, so that nobody may be there.
    fn needs_probe(&self) -> bool {
        false
    }

    /// Whether a caller's own HTTP client may carry its requests.
    fn supports_custom_transport(&self) -> bool {
        true
    }
}

type SourceResult = Result<Arc<dyn Source>, Error>;
type CreateFn = fn(&Environment, &ApplicationOptions) -> Result<Box<dyn Source>, Error>;

/// How a host is noticed and opened.
struct SourceDescriptor {
    name: SourceName,
    detect: fn(&Environment, &ApplicationOptions, &Platform) -> bool,
    create: CreateFn,
}

/// The order of detection; the first that is there counts.
const SOURCES: [SourceDescriptor; 7] = [
    service_fabric::DESCRIPTOR,
    app_service::DESCRIPTOR,
    machine_learning::DESCRIPTOR,
    cloud_shell::DESCRIPTOR,
    azure_arc::DESCRIPTOR,
    workload_identity::DESCRIPTOR,
    imds::DESCRIPTOR,
];

/// The host that this is, or `None` if the application has chosen others. IMDS needs no variable, so that without a
/// choice there always is one.
fn detect(
    env: &Environment,
    options: &ApplicationOptions,
    platform: &Platform,
) -> Option<&'static SourceDescriptor> {
    let is_there = |host: &&SourceDescriptor| (host.detect)(env, options, platform);
    let Some(chosen) = &options.sources else {
        return SOURCES.iter().find(is_there);
    };
    let chosen = || {
        chosen
            .iter()
            .filter_map(|name| SOURCES.iter().find(|host| host.name == *name))
    };
    let is_complete = |host: &&SourceDescriptor| {
        is_there(host)
            && (host.name != SourceName::WorkloadIdentity || workload_identity::has_client_id(env, options))
    };
    // Where no source is complete, a pod that lacks nothing but a client id learns that from `open`.
    chosen().find(is_complete).or_else(|| chosen().find(is_there))
}

/// Tells which host this is, without asking it: of chosen ones that are not there, the first.
pub fn detect_name(env: &Environment, options: &ApplicationOptions, platform: &Platform) -> SourceName {
    let first = || {
        options
            .sources
            .as_ref()
            .and_then(|chosen| chosen.first().copied())
    };
    detect(env, options, platform)
        .map(|host| host.name)
        .or_else(first)
        .unwrap_or(SourceName::DefaultToImds)
}

/// Tells whether the environment has the variables of a source that the application may use.
pub fn is_any_detected(env: &Environment, options: &ApplicationOptions, platform: &Platform) -> bool {
    detect(env, options, platform).is_some()
}

/// How many of [`variable::ALL`], from the front, decide for an application that this is its source, and how it is
/// asked. The order in which an application chooses is its own: the variables of every chosen source count.
pub fn relevant_variable_count(options: &ApplicationOptions, found: SourceName, is_verified: bool) -> usize {
    if is_verified {
        // `NODE_EXTRA_CA_CERTS` is one of them, and the last.
        return variable::ALL.len();
    }
    let chosen = options.sources.iter().flat_map(|chosen| chosen.iter());
    chosen
        .map(|name| name.relevant_variable_count())
        .fold(found.relevant_variable_count(), usize::max)
}

/// The application has chosen sources that are not there.
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

/// Opens the host that this is. Fails for an endpoint that is no URL, and for what the host cannot do.
pub fn create(env: &Environment, options: &ApplicationOptions, platform: &Platform) -> SourceResult {
    let Some(host) = detect(env, options, platform) else {
        return Err(no_source_error(options.sources.as_deref().unwrap_or_default()));
    };
    let source = (host.create)(env, options)
        .map_err(|error| error.map_details(|details| details.source = Some(host.name)))?;
    if options.has_custom_transport && !source.supports_custom_transport() {
        let message = match host.name {
            SourceName::WorkloadIdentity => {
                "system.networkClient cannot be used with the proxy of system.enableAzureProxy: its TLS name or its \
                 authority is its own, which only the native client knows. Leave one of the options out."
            }
            _ => {
                "system.networkClient cannot be used on Service Fabric: the endpoint's certificate is pinned, which \
                 only the native client can do. Leave the option out."
            }
        };
        return Err(Error::new(Code::InvalidConfiguration, message)
            .map_details(|details| details.source = Some(host.name)));
    }
    Ok(source.into())
}

/// An endpoint from a variable that detection has found to be set.
fn read_endpoint(env: &Environment, variable: &str, malformed: &Code) -> Result<Endpoint, Error> {
    Endpoint::parse(variable, malformed, env.read(variable).unwrap_or_default())
}

/// The client id that a variable holds, if it is set.
fn read_client_id(env: &Environment, variable: &str) -> Result<Option<String>, Error> {
    env.read(variable)
        .map(|id| {
            let name = format!("The environment variable {variable}");
            check_id(&name, &UntypedValue::String(id.to_owned())).map(str::to_owned)
        })
        .transpose()
}

/// A secret from a variable, which must fit into a header. Line ends at its end are those of the file that it was
/// read from, and are removed, as fetch does.
fn read_secret(env: &Environment, variable: &str) -> Result<Secret, Error> {
    let value = env
        .read(variable)
        .unwrap_or_default()
        .trim_end_matches(['\r', '\n']);
    let refused = |what: &str| {
        let message = format!("The environment variable {variable} holds {what}.");
        Err(Error::new(Code::InvalidConfiguration, message))
    };
    if value.is_empty() {
        return refused("nothing except line ends");
    }
    if value
        .bytes()
        .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
    {
        return Ok(Secret::new(value.to_owned()));
    }
    refused("characters that an HTTP header cannot carry")
}

#[cfg(test)]
mod tests;
