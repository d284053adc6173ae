//! The records that cross to and from JavaScript, each beside its conversion from or to the Rust value that it mirrors.
//!
//! An absent field of a record to JavaScript is null: such fields are defined with the object, whereas undefined fields
//! would be assigned, which a setter on `Object.prototype` could intercept.

mod availability;
mod callback;
mod error;
mod event;
mod metadata;
mod options;
mod token;

use std::time::Duration;

pub use self::availability::JsAvailability;
pub use self::callback::{CacheAccess, JsNetworkRequest, JsNetworkResponse};
pub use self::error::JsFailure;
pub use self::event::JsEvent;
pub use self::options::{JsApplicationOptions, JsIdentity, JsRequestOptions};
pub use self::token::AcquisitionOutcome;
use crate::token::Timestamp;

/// Returns milliseconds with a resolution of a microsecond.
fn fractional_millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "JavaScript dates are f64, in which the dates of tokens are exact"
)]
fn millis(timestamp: Timestamp) -> f64 {
    timestamp.millis() as f64
}
