//! Wall clocks, by which tokens expire: a monotonic clock can stop while a virtual machine is suspended. Delays and
//! timeouts use Tokio's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::token::Timestamp;

/// A wall clock.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        timestamp(SystemTime::now())
    }
}

/// Converts a system time. Times before 1970 become 1970.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
