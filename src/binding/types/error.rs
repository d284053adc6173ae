//! Errors.

use std::time::Duration;

use napi::bindgen_prelude::Either;
use napi_derive::napi;

use super::metadata::JsMetadata;
use crate::error::{Error, ErrorNumber};

/// An error of an acquisition, or of the options of an application.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsFailure {
    pub error_code: String,
    pub error_message: String,
    pub correlation_id: Option<String>,
    pub status_code: Option<u32>,
    /// The first error number of the service, unchanged.
    pub error_no: Option<Either<f64, String>>,
    pub source: Option<String>,
    pub endpoint: Option<String>,
    pub attempts: Option<u32>,
    pub retryable: bool,
    /// The delay that the endpoint requested (`Retry-After`).
    pub retry_after_ms: Option<f64>,
    /// Whether the host has no managed identity.
    pub unavailable: bool,
    pub cause_code: Option<String>,
    pub cause_message: Option<String>,
    pub metadata: Option<JsMetadata>,
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

/// Returns milliseconds, rounded up, so that a caller that waits for them has waited long enough.
fn whole_millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX))
}
