//! The time of one call by the system's wall clock and by its caller's, which fake timers replace in tests.

use super::Timestamp;

/// Two readings of one machine's clock differ by less than this. A larger difference means that a test has replaced the
/// caller's clock.
const TOLERANCE_MS: u64 = 5_000;

/// The time of one call by two wall clocks: the system's, and the caller's `Date.now()`, which a test can replace.
///
/// A token is returned only if it is valid by both.
#[derive(Clone, Copy, Debug)]
pub struct WallClocks {
    /// The time by the operating system.
    pub system: Timestamp,
    /// The time by the caller's `Date.now()`.
    pub caller: Timestamp,
}

/// A reading of a caller's wall clock, and the thread that read it.
#[derive(Clone, Copy, Debug)]
pub struct CallerClock {
    /// The time of the call.
    pub now: Timestamp,
    /// The number of the JavaScript thread. A token that was dated by a replaced clock is visible to this thread only.
    pub thread: u32,
}

impl WallClocks {
    /// Returns how far the caller's clock is ahead of the system's, in milliseconds.
    pub fn offset_ms(self) -> i64 {
        self.caller.millis().saturating_sub(self.system.millis())
    }

    /// Returns whether the difference is too large for one machine's clock.
    pub fn disagree(self) -> bool {
        self.offset_ms().unsigned_abs() > TOLERANCE_MS
    }

    /// Returns whether the caller's clock has been set back since it was `offset_ms` ahead.
    pub fn were_set_back_since(self, offset_ms: i64) -> bool {
        offset_ms.saturating_sub(self.offset_ms()) > i64::try_from(TOLERANCE_MS).unwrap_or(i64::MAX)
    }

    /// Returns whether the caller's clock has been set ahead since it was `offset_ms` ahead.
    pub fn were_set_ahead_since(self, offset_ms: i64) -> bool {
        self.offset_ms().saturating_sub(offset_ms) > i64::try_from(TOLERANCE_MS).unwrap_or(i64::MAX)
    }

    /// Returns both clocks at another time of the system's, with the same difference.
    #[must_use]
    pub fn when(self, system: Timestamp) -> Self {
        Self {
            system,
            caller: system.with_offset(self.offset_ms()),
        }
    }

    /// Returns the later of both times, converted to the system's clock, for a token that was dated when the caller's
    /// clock was `offset_ms` ahead.
    pub fn latest(self, offset_ms: i64) -> Timestamp {
        self.system
            .max(self.caller.with_offset(offset_ms.saturating_neg()))
    }
}

impl From<Timestamp> for WallClocks {
    fn from(now: Timestamp) -> Self {
        Self {
            system: now,
            caller: now,
        }
    }
}
