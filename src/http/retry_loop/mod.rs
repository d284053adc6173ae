//! The loop that sends a request, retries it, and enforces the time limits.
//!
//! It follows a [`RetryPolicy`] and the endpoint's [`EndpointLimiter`], and does not depend on tokens: the caller
//! supplies the [`ChallengeHandler`]. Each retry starts from the first request, so that the key for a challenge is read
//! again.

mod delay;

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep};

use self::delay::RetryCounts;
use super::attempt_stats::{AttemptStats, Deadline};
use super::endpoint_limiter::EndpointLimiter;
use super::retry_policy::{RetryOptions, RetryPolicy, parse_retry_after, with_jitter};
use super::timer::timeout_at;
use super::waiters::Waiters;
use super::{Request, Response, Transport, TransportError, TransportErrorKind};
use crate::error::Error;
use crate::platform::Platform;

const TOO_MANY_REQUESTS: u16 = 429;
/// How often a delay compares the wall clock.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of one attempt, and of the loop.
pub enum AttemptOutcome {
    /// A response, of any status.
    Response(Response),
    /// No response.
    TransportError(TransportError),
    /// The endpoint is blocked (a 429 with `Retry-After`) for this time, which ends after the deadline.
    BlockedByRetryAfter(Duration),
    /// The request that responds to a challenge could not be created.
    ChallengeFailed(Error),
    /// The last caller has left before the end.
    Unattended,
}

/// Creates the request that responds to a challenge; `None` if the response is not a challenge.
pub type ChallengeHandler<'a> = dyn Fn(&Response) -> ChallengeFuture<'a> + Send + Sync + 'a;

/// The result of a [`ChallengeHandler`]. It is a future because a key file may have to be read.
pub type ChallengeFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Request>, Error>> + Send + 'a>>;

/// The error of an attempt that is retried. It is a future because redacting a long response can take a while.
pub type RetryReport<'a> = Pin<Box<dyn Future<Output = Error> + Send + 'a>>;

/// Observes the requests of a retry loop.
pub trait RetryObserver: Sync {
    /// Called when a request is sent.
    fn on_request(&self) {}

    /// Called with the result of a request and the time that it took.
    fn on_response(&self, _: &Result<Response, TransportError>, _: Duration) {}

    /// Returns whether an attempt with this outcome may be retried if the policy allows it.
    fn can_retry(&self, _: &AttemptOutcome) -> bool {
        true
    }

    /// Called before the delay of a retry. Returns the error of the failed attempt.
    fn on_retry(&self, end: AttemptOutcome, wait: Duration) -> RetryReport<'_>;
}

/// Retries for an identity that may not exist yet.
#[derive(Clone, Copy)]
pub struct IdentityNotFoundRetry {
    /// How long after the first attempt retries may start.
    pub window: Duration,
    /// Returns whether a response says that the identity is not found.
    pub is_missing: fn(&Response) -> bool,
}

/// A retry loop: everything that one series of requests depends on.
pub struct RetryLoop<'a> {
    /// Sends the requests.
    pub transport: &'a dyn Transport,
    /// The limits of the endpoint.
    pub limiter: &'a EndpointLimiter,
    /// The failures that are retried, with their delays; `None` disables retries.
    pub policy: Option<&'static RetryPolicy>,
    /// The caller's options, which replace numbers of the policy.
    pub retry_options: RetryOptions,
    /// The time limit of one connection attempt.
    pub connect_timeout: Duration,
    /// The time limit of one exchange.
    pub request_timeout: Duration,
    /// The time limit of the last exchange that the policy allows after one that timed out.
    pub last_request_timeout: Duration,
    /// The end of the whole loop.
    pub deadline: &'a Deadline,
    /// The callers that wait for the outcome.
    pub waiters: &'a Waiters,
    /// Additional retries for an identity that is not found.
    pub identity_not_found: Option<IdentityNotFoundRetry>,
    /// The clock and the source of randomness.
    pub platform: &'a Platform,
    /// The statistics that the loop updates.
    pub stats: &'a AttemptStats,
}

impl RetryLoop<'_> {
    /// Sends the request until an outcome is final: a success, or a failure that is not retried.
    pub async fn run(
        &self,
        request: &Request,
        challenge: &ChallengeHandler<'_>,
        observer: &dyn RetryObserver,
    ) -> AttemptOutcome {
        let mut counts = RetryCounts::default();
        loop {
            let limit = if counts.is_last {
                self.last_request_timeout
            } else {
                self.request_timeout
            };
            let mut end = self.attempt(request, limit, challenge, observer).await;
            let can_retry = observer.can_retry(&end);
            let Some(wait) = can_retry.then(|| self.next_delay(&end, &mut counts)).flatten() else {
                return end;
            };
            if let AttemptOutcome::Response(response) = &mut end {
                response.keep_connection();
            }
            if self.waiters.is_abandoned() {
                return AttemptOutcome::Unattended;
            }
            let ended = Instant::now();
            self.stats.record_error(observer.on_retry(end, wait).await);
            let wait = wait.saturating_sub(ended.elapsed());
            let is_paused = self.limiter.blocked_for().is_some();
            if self.pause(wait, is_paused).await.is_none() {
                return AttemptOutcome::Unattended;
            }
        }
    }

    /// Waits before the next request; `None` if the last caller leaves meanwhile.
    async fn pause(&self, wait: Duration, is_blocked: bool) -> Option<()> {
        self.stats.is_paused.store(is_blocked, Ordering::Relaxed);
        let waited = self.waiters.run_until_abandoned(self.sleep(wait)).await;
        self.stats.is_paused.store(false, Ordering::Relaxed);
        waited
    }

    /// Sleeps until one of the clocks has reached the end: the monotonic clock can stop while a machine is suspended.
    async fn sleep(&self, wait: Duration) {
        let clock = &self.platform.clock;
        let wall_until = clock.now().saturating_add(wait);
        let mut left = wait;
        while !left.is_zero() {
            let part = left.min(CLOCK_CHECK_INTERVAL);
            sleep(part).await;
            left -= part;
            if clock.now() >= wall_until {
                return;
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        limit: Duration,
        challenge: &ChallengeHandler<'_>,
        observer: &dyn RetryObserver,
    ) -> AttemptOutcome {
        let mut response = match self.exchange(request, limit, observer).await {
            Ok(response) => response,
            Err(end) => return end,
        };
        match challenge(&response).await {
            Ok(None) => AttemptOutcome::Response(response),
            Ok(Some(mut second)) => {
                second.needs_new_connection = request.needs_new_connection;
                // Returned first, so that the second request can use it instead of opening a second connection.
                response.keep_connection();
                let responded = self.exchange(&second, limit, observer).await;
                responded.map_or_else(|end| end, AttemptOutcome::Response)
            }
            Err(error) => AttemptOutcome::ChallengeFailed(error),
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        limit: Duration,
        observer: &dyn RetryObserver,
    ) -> Result<Response, AttemptOutcome> {
        let permit = self.acquire_permit().await?;
        self.stats.record_attempt();
        observer.on_request();
        let left = Instant::now();
        let sent = timeout_at(left + limit, self.transport.send(request, self.connect_timeout));
        let returned = self
            .run_exchange(permit, sent)
            .await?
            .unwrap_or_else(|| Err(TransportError::new(TransportErrorKind::RequestTimeout)));
        let took = left.elapsed();
        self.stats.add_http_time(took);
        observer.on_response(&returned, took);
        let response = returned.map_err(AttemptOutcome::TransportError)?;
        if response.status == TOO_MANY_REQUESTS
            && let Some(retry_after) = self.retry_after(&response)
        {
            self.limiter.block_for(retry_after);
        }
        Ok(response)
    }

    /// Waits until the endpoint is not blocked and a permit for one exchange is available; `None` for a transport that
    /// needs no permit.
    async fn acquire_permit(&self) -> Result<Option<SemaphorePermit<'_>>, AttemptOutcome> {
        let permit = loop {
            while let Some(block) = self.limiter.blocked_for() {
                if !self.deadline.allows(block) {
                    return Err(AttemptOutcome::BlockedByRetryAfter(block));
                }
                // The block ends before the deadline, and the jitter must not change that.
                let delay = with_jitter(block, self.random_fraction()).min(self.deadline.remaining());
                self.pause(delay, true).await.ok_or(AttemptOutcome::Unattended)?;
            }
            let permit = if self.transport.needs_request_permit() {
                let permit = self
                    .waiters
                    .run_until_abandoned(self.limiter.acquire_request_permit())
                    .await;
                permit.ok_or(AttemptOutcome::Unattended)?
            } else {
                None
            };
            // Another request may have received a 429 while this one waited for a permit.
            if self.limiter.blocked_for().is_none() {
                break permit;
            }
        };
        if self.waiters.is_abandoned() {
            return Err(AttemptOutcome::Unattended);
        }
        Ok(permit)
    }

    /// Runs an exchange to its end. When the last caller leaves, the exchange releases its permit and continues: its
    /// token is still useful, but must not delay other requests.
    async fn run_exchange<T>(
        &self,
        permit: Option<SemaphorePermit<'_>>,
        exchange: impl Future<Output = T>,
    ) -> Result<T, AttemptOutcome> {
        let mut exchange = pin!(exchange);
        if let Some(ended) = self.waiters.run_until_abandoned(exchange.as_mut()).await {
            return Ok(ended);
        }
        drop(permit);
        let mut unattended = self.limiter.register_unattended();
        loop {
            tokio::select! {
                biased;
                ended = exchange.as_mut() => return Ok(ended),
                () = unattended.evicted() => return Err(AttemptOutcome::Unattended),
                () = self.waiters.joined() => {}
            }
            unattended.set_attended(true);
            if let Some(ended) = self.waiters.run_until_abandoned(exchange.as_mut()).await {
                return Ok(ended);
            }
            unattended.set_attended(false);
        }
    }

    pub(super) fn retry_after(&self, response: &Response) -> Option<Duration> {
        parse_retry_after(
            response.headers.retry_after.as_deref()?,
            self.platform.clock.now(),
        )
    }

    pub(super) fn random_fraction(&self) -> f64 {
        self.platform.random.next_fraction()
    }
}

#[cfg(test)]
mod tests;
