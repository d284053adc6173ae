//! Wall time. Waits are Tokio's affair; expiry is this one's, because a monotonic clock stops while
//! a virtual machine sleeps.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::token::Timestamp;

/// Tells the wall time.
pub trait Clock: Send + Sync {
    /// The present instant.
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

/// The same instant in milliseconds; 1970 for what is earlier.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
