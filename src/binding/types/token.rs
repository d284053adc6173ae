//! The result of an acquisition: a token or an error.

use napi_derive::napi;

use super::error::JsFailure;
use super::metadata::JsMetadata;
use super::millis;
use crate::acquisition::outcome::{AcquiredToken, AcquisitionResult};

/// The outcome of an acquisition.
#[napi(discriminant = "kind", object_from_js = false)]
pub enum AcquisitionOutcome {
    Token { token: JsToken },
    Failure { failure: JsFailure },
}

/// A token that is returned to a caller.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsToken {
    pub access_token: String,
    /// The resource of the token, which is the only scope of a result.
    pub resource: String,
    /// Whether the token was acquired before the call.
    pub from_cache: bool,
    /// Milliseconds since 1970.
    pub expires_on_ms: f64,
    /// Milliseconds since 1970; absent for a lifetime of up to two hours.
    pub refresh_on_ms: Option<f64>,
    /// Until when the JavaScript layer may return the token without a native call, in milliseconds since 1970; 0 if it must
    /// not.
    pub fresh_until_ms: f64,
    /// The generation of the cache to which the token belongs.
    pub generation: u32,
    pub metadata: JsMetadata,
}

impl AcquisitionOutcome {
    pub(in crate::binding) fn of(outcome: AcquisitionResult, resource: String) -> Self {
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
    pub(in crate::binding) fn of(acquired: AcquiredToken, resource: String) -> Self {
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
