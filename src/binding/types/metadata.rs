//! The metadata of a call.

use napi_derive::napi;

use super::fractional_millis;
use crate::metadata::Metadata;

/// The metadata of a call: the public type of this name without its defaults.
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
