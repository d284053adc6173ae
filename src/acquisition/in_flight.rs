//! An in-flight request: one series of HTTP requests whose result any number of callers wait for.
//!
//! It holds the state that the callers share: the deadline, the statistics and the status. The `task` module sends the
//! requests and stores the token.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::outcome::{AcquiredToken, AcquisitionResult};
use super::trigger::AcquisitionTrigger;
use crate::cache::CacheKey;
use crate::http::attempt_stats::{AttemptStats, Deadline};
use crate::http::retry_policy::RetryOptions;
use crate::http::waiters::Waiters;
use crate::metadata::{CacheRefreshReason, Metadata};
use crate::source::ErrorContext;
use crate::token::WallClocks;

/// Everything that two calls must have in common to share one request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CoalescingKey {
    /// The cache key of the token.
    pub cache_key: CacheKey,
    /// The id of the transport.
    pub transport: usize,
    /// Whether retries are disabled.
    pub disable_internal_retries: bool,
    /// The retry options.
    pub retry_options: RetryOptions,
    /// The `claims` parameter of the requests, for a source that supports it.
    pub claims: Option<String>,
    /// How long "identity not found" is retried; `None` if it is not.
    pub identity_not_found_timeout: Option<Duration>,
    /// Whether a probe is sent first.
    pub needs_probe: bool,
    /// The id of the persistent cache.
    pub persistent_store: Option<String>,
}

/// The end of a request.
#[derive(Clone, Debug)]
pub enum Completion {
    /// The request ended with a token, or with an error after the last retry.
    Finished(AcquisitionResult),
    /// The deadline of the last waiter passed, or the last waiter left. Each waiter creates its own timeout error.
    TimedOut,
}

/// The status of a request, which its waiters watch.
#[derive(Clone, Default)]
pub(super) struct Status {
    /// A valid token that is returned instead of an error or a long wait.
    pub(super) fallback: Option<AcquiredToken>,
    /// The fetched token, while it is still being persisted.
    pub(super) token: Option<AcquiredToken>,
    pub(super) completion: Option<Completion>,
}

/// One series of HTTP requests for a token.
pub struct InFlightRequest {
    /// The number of this request; a later request has a higher number.
    pub sequence: u64,
    /// How often the cache had been cleared when the request started.
    pub epoch: u64,
    /// Why the request was started.
    pub trigger: AcquisitionTrigger,
    /// Why the request was started, in the terms of the result's metadata.
    pub cache_refresh_reason: CacheRefreshReason,
    /// The latest timeout of its waiters.
    pub deadline: Deadline,
    /// The waiters that have not left. The lock under which callers join also protects the end of a request without
    /// waiters.
    pub waiters: Waiters,
    /// Whether a later request replaced the cached token, so that the token of this one must not be cached.
    pub superseded: AtomicBool,
    /// The attempts so far.
    pub stats: AttemptStats,
    /// The context of error messages.
    pub error_context: ErrorContext,
    /// How far the clock of the first caller was ahead of the system's, in milliseconds.
    pub offset_ms: i64,
    started_at: Instant,
    status: watch::Sender<Status>,
}

impl InFlightRequest {
    /// Creates a request that starts now. A background request runs for `total` even without waiters.
    pub fn new(
        sequence: u64,
        epoch: u64,
        (trigger, cache_refresh_reason): (AcquisitionTrigger, CacheRefreshReason),
        total: Duration,
        in_background: bool,
        error_context: ErrorContext,
        called_at: WallClocks,
    ) -> Arc<Self> {
        Arc::new(Self {
            sequence,
            epoch,
            trigger,
            cache_refresh_reason,
            deadline: Deadline::after(total),
            waiters: Waiters::new(in_background.then(|| Instant::now() + total)),
            superseded: AtomicBool::new(false),
            stats: AttemptStats::default(),
            error_context,
            offset_ms: called_at.offset_ms(),
            started_at: Instant::now(),
            status: watch::Sender::new(Status::default()),
        })
    }

    /// Publishes how the request ended. Only the first call has an effect.
    pub fn complete(&self, completion: Completion) {
        self.status.send_if_modified(|status| {
            let is_first = status.completion.is_none();
            if is_first {
                status.completion = Some(completion);
            }
            is_first
        });
    }

    /// Publishes a valid token that waiters return instead of an error or a long wait.
    pub fn set_fallback(&self, acquired: AcquiredToken) {
        self.status.send_modify(|status| status.fallback = Some(acquired));
    }

    /// Publishes the fetched token, so that a waiter whose timeout ends while the token is persisted still gets it.
    pub fn set_token(&self, acquired: AcquiredToken) {
        self.status.send_modify(|status| status.token = Some(acquired));
    }

    /// Returns the metadata so far.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            token_source: None,
            cache_refresh_reason: self.cache_refresh_reason,
            attempts: self.stats.attempts(),
            http_time: self.stats.http_time(),
            cache_time: self.stats.cache_time(),
            total_time: self.started_at.elapsed(),
            endpoint: self.error_context.endpoint().to_owned(),
        }
    }

    /// Returns whether the request has been completed.
    pub fn is_complete(&self) -> bool {
        self.status.borrow().completion.is_some()
    }

    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }
}
