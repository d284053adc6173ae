//! The time of one call by the system's wall clock and by its caller's, which fake timers replace in tests.

use super::Timestamp;

/// Clocks that differ by more than this are not those of one machine: a test has replaced the caller's.
const TOLERANCE_MS: u64 = 5_000;

/// The time of one call by both wall clocks: the system's, and the caller's `Date.now()`, which a test can replace.
///
/// A token is served only if both say that it is valid.
#[derive(Clone, Copy, Debug)]
pub struct WallClocks {
    /// By the operating system.
    pub system: Timestamp,
    /// By the caller.
    pub caller: Timestamp,
}

/// A caller's wall clock, and the thread that reads it.
#[derive(Clone, Copy, Debug)]
pub struct CallerClock {
    /// What it says at the time of the call.
    pub now: Timestamp,
    /// The number of the JavaScript thread. Only its own calls see tokens that a replaced clock dates.
    pub thread: u32,
}

impl WallClocks {
    /// How far the caller's clock is ahead of the system's, in milliseconds.
    pub fn offset_ms(self) -> i64 {
        self.caller.millis().saturating_sub(self.system.millis())
    }

    /// Whether the clocks differ by more than clocks of one machine do.
    pub fn disagree(self) -> bool {
        self.offset_ms().unsigned_abs() > TOLERANCE_MS
    }

    /// Whether the caller's clock was set back since it was this far ahead.
    pub fn were_set_back_since(self, offset_ms: i64) -> bool {
        offset_ms.saturating_sub(self.offset_ms()) > i64::try_from(TOLERANCE_MS).unwrap_or(i64::MAX)
    }

    /// Whether the caller's clock was moved on since it was this far ahead, by more than the time that has passed.
    pub fn were_set_ahead_since(self, offset_ms: i64) -> bool {
        self.offset_ms().saturating_sub(offset_ms) > i64::try_from(TOLERANCE_MS).unwrap_or(i64::MAX)
    }

    /// What they say when the system's says `system`, unless the caller's is replaced or moved meanwhile.
    #[must_use]
    pub fn when(self, system: Timestamp) -> Self {
        Self {
            system,
            caller: system.with_offset(self.offset_ms()),
        }
    }

    /// The later of both, on the system's clock, for a token that was dated when the caller's was `offset_ms` ahead.
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
