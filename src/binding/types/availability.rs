//! The result of a probe.

use napi_derive::napi;

use crate::acquisition::probe::Availability;

/// What a probe found.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsAvailability {
    pub available: bool,
    pub source: String,
    pub reason: Option<String>,
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
