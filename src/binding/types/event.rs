//! Events of an acquisition.

use napi_derive::napi;

use super::error::JsFailure;
use super::fractional_millis;
use super::token::JsToken;
use crate::events::{Event, EventKind};

/// An event of an acquisition.
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
    /// The code of the transport error, if there was no response.
    pub fault: Option<String>,
    pub duration_in_ms: Option<f64>,
    pub wait_in_ms: Option<f64>,
    /// The token of a background refresh.
    pub token: Option<JsToken>,
    /// Why a request is retried, or why a background refresh failed.
    pub failure: Option<JsFailure>,
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
