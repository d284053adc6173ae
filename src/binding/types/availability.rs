//! The result of a probe.

use napi_derive::napi;

use crate::acquisition::probe::Availability;

/// The result of a probe.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct JsAvailability {
    pub available: bool,
    pub source: String,
    pub reason: Option<String>,
}

impl From<Availability> for JsAvailability {
    fn from(availability: Availability) -> Self {
        Self {
            available: availability.available,
            source: availability.source.as_str().to_owned(),
            reason: availability.reason,
        }
    }
}
