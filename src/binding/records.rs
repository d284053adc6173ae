//! What crosses to JavaScript: plain records, each beside the Rust value that it mirrors.

use std::collections::HashMap;

use napi::Result;
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use super::given::given;
use crate::cache::flight::{Outcome, Served};
use crate::config::RawConfiguration;
use crate::error::Error;
use crate::machine::{Environment, variable};
use crate::request::RawRequest;
use crate::token::Timestamp;

/// The options of an application, flat and of any type.
#[napi(object)]
pub struct ConfigurationRecord<'env> {
    pub configuration: Option<Unknown<'env>>,
    pub managed_identity_id_params: Option<Unknown<'env>>,
    pub user_assigned_client_id: Option<Unknown<'env>>,
    pub user_assigned_resource_id: Option<Unknown<'env>>,
    pub user_assigned_object_id: Option<Unknown<'env>>,
    pub client_capabilities: Option<Unknown<'env>>,
    pub system: Option<Unknown<'env>>,
    pub disable_internal_retries: Option<Unknown<'env>>,
    pub connect_timeout: Option<Unknown<'env>>,
    pub request_timeout: Option<Unknown<'env>>,
    pub total_timeout: Option<Unknown<'env>>,
    pub network_client: Option<Unknown<'env>>,
    pub send_get_request: Option<Unknown<'env>>,
    pub send_post_request: Option<Unknown<'env>>,
    pub logger_options: Option<Unknown<'env>>,
    pub logger_callback: Option<Unknown<'env>>,
    pub log_level: Option<Unknown<'env>>,
    pub pii_logging_enabled: Option<Unknown<'env>>,
}

impl ConfigurationRecord<'_> {
    pub(super) fn raw(&self) -> Result<RawConfiguration> {
        Ok(RawConfiguration {
            configuration: given(&self.configuration)?,
            managed_identity_id_params: given(&self.managed_identity_id_params)?,
            user_assigned_client_id: given(&self.user_assigned_client_id)?,
            user_assigned_resource_id: given(&self.user_assigned_resource_id)?,
            user_assigned_object_id: given(&self.user_assigned_object_id)?,
            client_capabilities: given(&self.client_capabilities)?,
            system: given(&self.system)?,
            disable_internal_retries: given(&self.disable_internal_retries)?,
            connect_timeout: given(&self.connect_timeout)?,
            request_timeout: given(&self.request_timeout)?,
            total_timeout: given(&self.total_timeout)?,
            network_client: given(&self.network_client)?,
            send_get_request: given(&self.send_get_request)?,
            send_post_request: given(&self.send_post_request)?,
            logger_options: given(&self.logger_options)?,
            logger_callback: given(&self.logger_callback)?,
            log_level: given(&self.log_level)?,
            pii_logging_enabled: given(&self.pii_logging_enabled)?,
        })
    }
}

/// The fields of one request, of any type.
#[napi(object)]
pub struct RequestRecord<'env> {
    pub resource: Option<Unknown<'env>>,
    pub force_refresh: Option<Unknown<'env>>,
    pub claims: Option<Unknown<'env>>,
    pub timeout: Option<Unknown<'env>>,
    /// Whether what was given is an `AbortSignal`; absent if nothing was.
    pub abort_signal: Option<Unknown<'env>>,
}

impl RequestRecord<'_> {
    pub(super) fn raw(&self) -> Result<RawRequest> {
        Ok(RawRequest {
            resource: given(&self.resource)?,
            force_refresh: given(&self.force_refresh)?,
            claims: given(&self.claims)?,
            timeout: given(&self.timeout)?,
            abort_signal: given(&self.abort_signal)?,
        })
    }
}

/// One reading of the environment, which calls share until the next reading differs.
#[napi(js_name = "Environment")]
pub struct EnvironmentReading(pub(super) Environment);

#[napi]
impl EnvironmentReading {
    /// Takes the values of the variables to be handed down, in their order.
    #[napi(constructor, catch_unwind)]
    pub fn new(values: Vec<Option<String>>) -> Self {
        let named = variable::ALL.iter().zip(values);
        let set = named.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Self(set.collect::<HashMap<_, _>>().into())
    }
}

/// A token that was served.
#[napi(object, object_from_js = false)]
pub struct TokenRecord {
    pub access_token: String,
    /// What the token is for: the one scope of a result.
    pub resource: String,
    /// Whether it was there before the call.
    pub from_cache: bool,
    /// Milliseconds since 1970.
    pub expires_on_ms: f64,
    /// Milliseconds since 1970; absent for a lifetime of up to two hours.
    pub refresh_on_ms: Option<f64>,
    /// Until when the face may serve it again by itself, in milliseconds since 1970; 0 is not at all.
    pub fresh_until_ms: f64,
    /// The generation that it belongs to.
    pub generation: u32,
}

/// Why there is no token, or no application.
#[napi(object, object_from_js = false)]
pub struct FailureRecord {
    pub error_code: String,
    pub error_message: String,
    pub correlation_id: Option<String>,
    pub status_code: Option<u32>,
    pub source: Option<String>,
    pub endpoint: Option<String>,
    pub attempts: Option<u32>,
    pub retryable: bool,
    pub cause_code: Option<String>,
    pub cause_message: Option<String>,
}

/// How an acquisition ended.
#[napi(discriminant = "kind", object_from_js = false)]
pub enum AcquisitionOutcome {
    Token { token: TokenRecord },
    Failure { failure: FailureRecord },
    Released,
}

impl AcquisitionOutcome {
    pub(super) fn of(outcome: Outcome, resource: String) -> Self {
        match outcome {
            Ok(served) => Self::Token {
                token: TokenRecord::of(&served, resource),
            },
            Err(error) => Self::Failure {
                failure: error.into(),
            },
        }
    }
}

impl TokenRecord {
    fn of(served: &Served, resource: String) -> Self {
        Self {
            resource,
            access_token: served.token.secret.expose().to_owned(),
            from_cache: served.from_cache,
            expires_on_ms: millis(served.token.expires_on),
            refresh_on_ms: served.token.refresh_on.map(millis),
            fresh_until_ms: served.fresh_until.map_or(0.0, millis),
            generation: served.generation,
        }
    }
}

impl From<Error> for FailureRecord {
    fn from(error: Error) -> Self {
        let facts = error.facts().clone();
        let (cause_code, cause_message) = match facts.cause {
            Some(cause) => (cause.code.map(str::to_owned), Some(cause.message)),
            None => (None, None),
        };
        Self {
            error_code: facts.code.as_str().to_owned(),
            error_message: facts.message,
            correlation_id: facts.correlation_id,
            status_code: facts.status.map(u32::from),
            source: facts.source.map(|source| source.as_str().to_owned()),
            endpoint: facts.endpoint,
            attempts: facts.attempts,
            retryable: facts.retryable,
            cause_code,
            cause_message,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "JavaScript's dates are f64; those of tokens are exact"
)]
fn millis(timestamp: Timestamp) -> f64 {
    timestamp.millis() as f64
}
