//! The deadline of an acquisition, and what its requests have taken so far.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::locking::lock;

/// When the last of those who wait gives up; others who join can put it off.
#[derive(Debug)]
pub struct Deadline(Mutex<Instant>);

impl Deadline {
    /// This long from now.
    pub fn after(total: Duration) -> Self {
        Self(Mutex::new(Instant::now() + total))
    }

    /// Not before this long from now.
    pub fn extend_to(&self, total: Duration) {
        let mut at = lock(&self.0);
        *at = at.max(Instant::now() + total);
    }

    /// The instant.
    pub fn instant(&self) -> Instant {
        *lock(&self.0)
    }

    /// How much time is left.
    pub fn remaining(&self) -> Duration {
        self.instant().saturating_duration_since(Instant::now())
    }

    pub(super) fn allows(&self, wait: Duration) -> bool {
        wait <= self.remaining()
    }
}

/// The statistics of a retry loop so far, for those who give up on it.
#[derive(Debug, Default)]
pub struct AttemptStats {
    attempts: AtomicU32,
    http_time: AtomicU64,
    cache_time: AtomicU64,
    first_attempt_at: OnceLock<Instant>,
    /// Whether it waits for a pause to end that a 429 asked for.
    pub(super) is_paused: AtomicBool,
    last_error: Mutex<Option<Error>>,
}

impl AttemptStats {
    /// How many requests were sent.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// How long the requests took, all together.
    pub fn http_time(&self) -> Duration {
        Duration::from_micros(self.http_time.load(Ordering::Relaxed))
    }

    /// Whether nothing is sent because the endpoint has asked for a pause.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// How the last finished try failed.
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

    /// How long a cache outside of this process took.
    pub fn cache_time(&self) -> Duration {
        Duration::from_micros(self.cache_time.load(Ordering::Relaxed))
    }

    /// Notes how long a cache outside of this process took.
    pub fn add_cache_time(&self, time: Duration) {
        self.cache_time.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// How long ago the first request was sent.
    pub(super) fn since_first_attempt(&self) -> Duration {
        self.first_attempt_at
            .get()
            .map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Notes how the last finished try failed.
    pub fn record_error(&self, error: Error) {
        *lock(&self.last_error) = Some(error);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
