//! An in-flight request: one series of HTTP requests, for however many callers wait for its result.
//!
//! It holds what the callers share: the deadline, the statistics and the status. It neither sends nor stores.

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

/// Everything in which two calls must agree to share one request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CoalescingKey {
    /// The token.
    pub cache_key: CacheKey,
    /// The number of the transport.
    pub transport: usize,
    /// Whether retries are disabled.
    pub disable_internal_retries: bool,
    /// The retry options.
    pub retry_options: RetryOptions,
    /// The `claims` parameter of the requests, for a source that takes one.
    pub claims: Option<String>,
    /// How long "identity not found" is retried.
    pub identity_not_found_timeout: Option<Duration>,
    /// Whether a probe is sent first.
    pub needs_probe: bool,
    /// The id of the persistent cache.
    pub persistent_store: Option<String>,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Completion {
    /// With a token, or with an error after the last retry.
    Finished(AcquisitionResult),
    /// At the deadline of its last waiter, or after the last waiter left. Each waiter makes its own timeout error.
    TimedOut,
}

/// The progress of a request, as waiters see it.
#[derive(Clone, Default)]
pub(super) struct Status {
    /// A valid token that is returned instead of an error or a long wait.
    pub(super) fallback: Option<AcquiredToken>,
    /// The fetched token, while it is still being persisted.
    pub(super) token: Option<AcquiredToken>,
    pub(super) completion: Option<Completion>,
}

/// One series of requests.
pub struct InFlightRequest {
    /// The number of this request; a later request has a higher one.
    pub sequence: u64,
    /// How often the cache had been cleared when the request started.
    pub epoch: u64,
    /// Why the request was started.
    pub trigger: AcquisitionTrigger,
    /// The same for the metadata of its result.
    pub cache_refresh_reason: CacheRefreshReason,
    /// The latest timeout of its waiters.
    pub deadline: Deadline,
    /// The waiters that have not left. Callers join under the same lock under which a request without waiters ends.
    pub waiters: Waiters,
    /// Whether a later call asked for another token, so that this one must not be cached.
    pub superseded: AtomicBool,
    /// The attempts so far.
    pub stats: AttemptStats,
    /// What error messages say about the source.
    pub error_context: ErrorContext,
    /// How far the clock of the first caller was ahead of the system's, in milliseconds.
    pub offset_ms: i64,
    started_at: Instant,
    status: watch::Sender<Status>,
}

impl InFlightRequest {
    /// Creates a request that starts now. One in the background runs for `total` without waiters.
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
            let first = status.completion.is_none();
            if first {
                status.completion = Some(completion);
            }
            first
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

    /// Returns whether the end has been published.
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
