//! What crosses to JavaScript: plain records, each beside the Rust value that it mirrors.
//!
//! A field of a record to JavaScript that is absent is null: such fields are defined with the object, whereas the
//! others would be assigned, which a setter on `Object.prototype` could intercept.

use std::collections::HashMap;
use std::time::Duration;

use napi::bindgen_prelude::Either;
use napi_derive::napi;

use super::node_roots::NodeRoots;
use crate::acquisition::outcome::{AcquiredToken, AcquisitionResult};
use crate::acquisition::probe::Availability;
use crate::error::{Error, ErrorNumber};
use crate::events::{Event, EventKind};
use crate::metadata::Metadata;
use crate::platform::{Environment, variable};
use crate::token::Timestamp;

/// One reading of the environment, which calls share until the next reading differs.
#[napi(js_name = "Environment")]
pub struct EnvironmentSnapshot(pub(super) Environment);

#[napi]
impl EnvironmentSnapshot {
    /// Takes the values of the variables to be handed down, in their order.
    #[napi(constructor, catch_unwind)]
    pub fn new(values: Vec<Option<String>>) -> Self {
        let named = variable::ALL.iter().zip(values);
        let set = named.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Self(set.collect::<HashMap<_, _>>().into())
    }

    /// Whether an endpoint that it names can be https, so that the roots of this thread can be needed.
    #[napi(catch_unwind)]
    pub fn can_need_roots(&self) -> bool {
        self.0.can_need_roots()
    }

    /// Sets where the roots of this thread are read once they are needed.
    #[napi(catch_unwind)]
    pub fn set_node_roots(&mut self, roots: &NodeRoots) {
        self.0.set_node_roots(roots.0.clone());
    }
}

/// A token that was served.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsToken {
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
    pub metadata: JsMetadata,
}

/// What is told of a call: the public type of this name, but for its defaults.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsMetadata {
    pub token_source: Option<String>,
    pub cache_refresh_reason: String,
    pub duration_total_in_ms: f64,
    pub duration_in_http_in_ms: f64,
    pub duration_in_cache_in_ms: f64,
    pub attempts: u32,
    pub token_endpoint: String,
}

/// Why there is no token, or no application.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsFailure {
    pub error_code: String,
    pub error_message: String,
    pub correlation_id: Option<String>,
    pub status_code: Option<u32>,
    /// The first of the service's own numbers for the error, as it came.
    pub error_no: Option<Either<f64, String>>,
    pub source: Option<String>,
    pub endpoint: Option<String>,
    pub attempts: Option<u32>,
    pub retryable: bool,
    /// How long the endpoint asked to wait.
    pub retry_after_ms: Option<f64>,
    /// Whether there is no managed identity here.
    pub unavailable: bool,
    pub cause_code: Option<String>,
    pub cause_message: Option<String>,
    pub metadata: Option<JsMetadata>,
}

/// What a probe found.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsAvailability {
    pub available: bool,
    pub source: String,
    pub reason: Option<String>,
}

/// What happened on the way to a token.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsEvent {
    /// `request`, `retry` or `refresh`.
    pub kind: String,
    pub correlation_id: String,
    pub resource: String,
    pub source: String,
    pub endpoint: String,
    pub attempt: Option<u32>,
    pub status_code: Option<u32>,
    /// What came in place of an answer.
    pub fault: Option<String>,
    pub duration_in_ms: Option<f64>,
    pub wait_in_ms: Option<f64>,
    /// What a refresh brought.
    pub token: Option<JsToken>,
    /// Why a request is tried again, or why a refresh brought nothing.
    pub failure: Option<JsFailure>,
}

/// How an acquisition ended.
#[napi(discriminant = "kind", object_from_js = false)]
pub enum AcquisitionOutcome {
    Token { token: JsToken },
    Failure { failure: JsFailure },
}

impl AcquisitionOutcome {
    pub(super) fn of(outcome: AcquisitionResult, resource: String) -> Self {
        match outcome {
            Ok(acquired) => Self::Token {
                token: JsToken::of(acquired, resource),
            },
            Err(error) => Self::Failure {
                failure: error.into(),
            },
        }
    }
}

impl JsToken {
    fn of(acquired: AcquiredToken, resource: String) -> Self {
        Self {
            resource,
            access_token: acquired.token.secret.expose_secret().to_owned(),
            from_cache: acquired.from_cache,
            expires_on_ms: millis(acquired.token.caller_expires_on()),
            refresh_on_ms: acquired.token.caller_refresh_on().map(millis),
            fresh_until_ms: acquired.fresh_until.map_or(0.0, millis),
            generation: acquired.generation,
            metadata: acquired.metadata.into(),
        }
    }
}

impl From<Metadata> for JsMetadata {
    fn from(metadata: Metadata) -> Self {
        Self {
            token_source: metadata.token_source.map(|source| source.as_str().to_owned()),
            cache_refresh_reason: metadata.cache_refresh_reason.as_str().to_owned(),
            duration_total_in_ms: fractional_millis(metadata.total_time),
            duration_in_http_in_ms: fractional_millis(metadata.http_time),
            duration_in_cache_in_ms: fractional_millis(metadata.cache_time),
            attempts: metadata.attempts,
            token_endpoint: metadata.endpoint,
        }
    }
}

impl From<Availability> for JsAvailability {
    fn from(found: Availability) -> Self {
        Self {
            available: found.available,
            source: found.source.as_str().to_owned(),
            reason: found.reason,
        }
    }
}

impl From<Event> for JsEvent {
    fn from(event: Event) -> Self {
        let record = Self {
            kind: String::new(),
            correlation_id: event.correlation_id,
            resource: event.resource,
            source: event.source.as_str().to_owned(),
            endpoint: event.endpoint,
            attempt: None,
            status_code: None,
            fault: None,
            duration_in_ms: None,
            wait_in_ms: None,
            token: None,
            failure: None,
        };
        match event.kind {
            EventKind::Request {
                attempt,
                status,
                fault,
                took,
            } => Self {
                kind: "request".to_owned(),
                attempt: Some(attempt),
                status_code: status.map(u32::from),
                fault: fault.map(str::to_owned),
                duration_in_ms: Some(fractional_millis(took)),
                ..record
            },
            EventKind::Retry { attempt, error, wait } => Self {
                kind: "retry".to_owned(),
                attempt: Some(attempt),
                wait_in_ms: Some(fractional_millis(wait)),
                failure: Some(error.into()),
                ..record
            },
            EventKind::Refresh(outcome) => {
                let (token, failure) = match outcome {
                    Ok(acquired) => (Some(JsToken::of(acquired, record.resource.clone())), None),
                    Err(error) => (None, Some(error.into())),
                };
                Self {
                    kind: "refresh".to_owned(),
                    token,
                    failure,
                    ..record
                }
            }
        }
    }
}

impl From<Error> for JsFailure {
    fn from(error: Error) -> Self {
        let details = error.details().clone();
        let (cause_code, cause_message) = match details.cause {
            Some(cause) => (cause.code.map(str::to_owned), Some(cause.message)),
            None => (None, None),
        };
        Self {
            error_code: details.code.as_str().to_owned(),
            error_message: details.message,
            correlation_id: details.correlation_id,
            status_code: details.status.map(u32::from),
            error_no: details.number.map(|number| match number {
                ErrorNumber::Number(number) => Either::A(number),
                ErrorNumber::Text(text) => Either::B(text),
            }),
            source: details.source.map(|source| source.as_str().to_owned()),
            endpoint: details.endpoint,
            attempts: details.attempts,
            retryable: details.retryable,
            retry_after_ms: details.retry_after.map(whole_millis),
            unavailable: details.unavailable,
            metadata: details.metadata.map(Into::into),
            cause_code,
            cause_message,
        }
    }
}

/// Up to the next millisecond: who waits for so long has waited for long enough.
fn whole_millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX))
}

/// To the microsecond.
fn fractional_millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "JavaScript's dates are f64; those of tokens are exact"
)]
fn millis(timestamp: Timestamp) -> f64 {
    timestamp.millis() as f64
}
