//! The deadline of a retry loop, and its statistics so far.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::locking::lock;

/// The instant at which the last waiter times out. Callers that join can move it to a later one.
#[derive(Debug)]
pub struct Deadline(Mutex<Instant>);

impl Deadline {
    /// Creates a deadline `total` from now.
    pub fn after(total: Duration) -> Self {
        Self(Mutex::new(Instant::now() + total))
    }

    /// Moves the deadline to `total` from now, unless it is later already.
    pub fn extend_to(&self, total: Duration) {
        let mut at = lock(&self.0);
        *at = at.max(Instant::now() + total);
    }

    /// Returns the instant of the deadline.
    pub fn instant(&self) -> Instant {
        *lock(&self.0)
    }

    /// Returns the time until the deadline; zero if it has passed.
    pub fn remaining(&self) -> Duration {
        self.instant().saturating_duration_since(Instant::now())
    }

    pub(super) fn allows(&self, wait: Duration) -> bool {
        wait <= self.remaining()
    }
}

/// The statistics of a retry loop so far. Callers read them when they time out before the loop ends.
#[derive(Debug, Default)]
pub struct AttemptStats {
    attempts: AtomicU32,
    http_time: AtomicU64,
    cache_time: AtomicU64,
    first_attempt_at: OnceLock<Instant>,
    /// Whether the loop waits for the end of a block (a 429 with `Retry-After`).
    pub(super) is_paused: AtomicBool,
    last_error: Mutex<Option<Error>>,
}

impl AttemptStats {
    /// Returns the number of requests sent.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Returns the total time of all requests.
    pub fn http_time(&self) -> Duration {
        Duration::from_micros(self.http_time.load(Ordering::Relaxed))
    }

    /// Returns whether the loop waits for the end of a block (a 429 with `Retry-After`).
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Returns the error of the last finished attempt.
    pub fn last_error(&self) -> Option<Error> {
        lock(&self.last_error).clone()
    }

    pub(super) fn record_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.first_attempt_at.get_or_init(Instant::now);
    }

    pub(super) fn add_http_time(&self, time: Duration) {
        self.http_time.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// Returns the total time of all accesses to the persistent cache.
    pub fn cache_time(&self) -> Duration {
        Duration::from_micros(self.cache_time.load(Ordering::Relaxed))
    }

    /// Adds the time of an access to the persistent cache.
    pub fn add_cache_time(&self, time: Duration) {
        self.cache_time.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// Returns the time since the first request was sent; zero before it.
    pub(super) fn since_first_attempt(&self) -> Duration {
        self.first_attempt_at
            .get()
            .map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Records the error of the last finished attempt.
    pub fn record_error(&self, error: Error) {
        *lock(&self.last_error) = Some(error);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
