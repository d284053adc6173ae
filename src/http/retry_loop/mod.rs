//! The one loop that sends, retries and times out.
//!
//! It follows a [`RetryPolicy`] as data, passes the endpoint's [`EndpointLimiter`], and knows nothing of tokens. What
//! to answer to a challenge is asked of whoever called. Each retry starts from the first request, so
//! that a challenge's key is read anew.

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
/// How often a wait looks at the wall clock.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How a series of requests ended.
pub enum AttemptOutcome {
    /// The endpoint answered, with whatever status.
    Response(Response),
    /// No answer came.
    TransportError(TransportError),
    /// The endpoint had asked for a pause that the deadline cannot hold.
    BlockedByRetryAfter(Duration),
    /// The challenge cannot be answered.
    ChallengeFailed(Error),
    /// The last caller has left.
    Unattended,
}

/// What to send after a response that is a challenge; `None` if it is not one.
pub type ChallengeHandler<'a> = dyn Fn(&Response) -> ChallengeFuture<'a> + Send + Sync + 'a;

/// The request that follows a response. Building it can take a while, since a file may have to be read for it.
pub type ChallengeFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Request>, Error>> + Send + 'a>>;

/// The error of a try that another one follows. Making it can take a while, since a long response is redacted for it.
pub type RetryReport<'a> = Pin<Box<dyn Future<Output = Error> + Send + 'a>>;

/// Watches a series of requests.
pub trait RetryObserver: Sync {
    /// A request leaves.
    fn on_request(&self) {}

    /// It ended, after so long.
    fn on_response(&self, _: &Result<Response, TransportError>, _: Duration) {}

    /// Whether a try that ended so may be followed by another, where the policy allows one.
    fn can_retry(&self, _: &AttemptOutcome) -> bool {
        true
    }

    /// A try ended so and is followed by another after this wait. Gives the words for it.
    fn on_retry(&self, end: AttemptOutcome, wait: Duration) -> RetryReport<'_>;
}

/// An identity that does not exist yet, maybe.
#[derive(Clone, Copy)]
pub struct IdentityNotFoundRetry {
    /// For how long it is asked for again.
    pub window: Duration,
    /// Whether an answer says that it is not found.
    pub is_missing: fn(&Response) -> bool,
}

/// Everything that one series of requests goes by.
pub struct RetryLoop<'a> {
    /// Carries the requests.
    pub transport: &'a dyn Transport,
    /// The gate of the endpoint.
    pub limiter: &'a EndpointLimiter,
    /// When to try again; `None` is never.
    pub policy: Option<&'static RetryPolicy>,
    /// What the caller wants instead of the policy's numbers.
    pub retry_options: RetryOptions,
    /// One connection attempt.
    pub connect_timeout: Duration,
    /// One exchange.
    pub request_timeout: Duration,
    /// One exchange, where one was too slow already and no other try would follow.
    pub last_request_timeout: Duration,
    /// The end of it all.
    pub deadline: &'a Deadline,
    /// The callers that it works for.
    pub waiters: &'a Waiters,
    /// What is waited for beyond the policy.
    pub identity_not_found: Option<IdentityNotFoundRetry>,
    /// Wall time and chance.
    pub platform: &'a Platform,
    /// Where it says how far it is.
    pub stats: &'a AttemptStats,
}

impl RetryLoop<'_> {
    /// Sends until there is an answer that no retry would better.
    pub async fn run(
        &self,
        request: &Request,
        challenge: &ChallengeHandler<'_>,
        observer: &dyn RetryObserver,
    ) -> AttemptOutcome {
        let mut spent = RetryCounts::default();
        loop {
            let limit = if spent.is_last {
                self.last_request_timeout
            } else {
                self.request_timeout
            };
            let mut end = self.attempt(request, limit, challenge, observer).await;
            let can_retry = observer.can_retry(&end);
            let Some(wait) = can_retry.then(|| self.next_delay(&end, &mut spent)).flatten() else {
                return end;
            };
            if let AttemptOutcome::Response(response) = &mut end {
                response.keep_connection();
            }
            if self.waiters.have_left() {
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

    /// Sends nothing for a while; `None` when the last caller has left meanwhile.
    async fn pause(&self, wait: Duration, was_asked_for: bool) -> Option<()> {
        self.stats.is_paused.store(was_asked_for, Ordering::Relaxed);
        let waited = self.waiters.unless_left(self.sleep(wait)).await;
        self.stats.is_paused.store(false, Ordering::Relaxed);
        waited
    }

    /// Sleeps until one of the clocks says that the time is over: the monotonic one stands still while a machine sleeps.
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
                // Held meanwhile, it would be a second connection in the place of one.
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
            && let Some(pause) = self.retry_after(&response)
        {
            self.limiter.block_for(pause);
        }
        Ok(response)
    }

    /// A place for one exchange, once the endpoint may be asked; none where the transport takes none.
    async fn acquire_permit(&self) -> Result<Option<SemaphorePermit<'_>>, AttemptOutcome> {
        let permit = loop {
            while let Some(pause) = self.limiter.blocked_for() {
                if !self.deadline.allows(pause) {
                    return Err(AttemptOutcome::BlockedByRetryAfter(pause));
                }
                // The jitter may not carry a request beyond the deadline that holds the pause.
                let pause = with_jitter(pause, self.random_fraction()).min(self.deadline.remaining());
                self.pause(pause, true).await.ok_or(AttemptOutcome::Unattended)?;
            }
            let permit = if self.transport.needs_request_permit() {
                let permit = self
                    .waiters
                    .unless_left(self.limiter.acquire_request_permit())
                    .await;
                permit.ok_or(AttemptOutcome::Unattended)?
            } else {
                None
            };
            // The wait for a place may have been long enough for another caller's 429.
            if self.limiter.blocked_for().is_none() {
                break permit;
            }
        };
        if self.waiters.have_left() {
            return Err(AttemptOutcome::Unattended);
        }
        Ok(permit)
    }

    /// Sees an exchange through. When the last caller has left, it goes on without its place: its token may still be
    /// of use, and must not cost others theirs.
    async fn run_exchange<T>(
        &self,
        permit: Option<impl Drop>,
        exchange: impl Future<Output = T>,
    ) -> Result<T, AttemptOutcome> {
        let mut exchange = pin!(exchange);
        if let Some(ended) = self.waiters.unless_left(exchange.as_mut()).await {
            return Ok(ended);
        }
        drop(permit);
        let mut unattended = self.limiter.register_unattended();
        loop {
            tokio::select! {
                biased;
                ended = exchange.as_mut() => return Ok(ended),
                () = unattended.must_end() => return Err(AttemptOutcome::Unattended),
                () = self.waiters.any_joined() => {}
            }
            unattended.set_attended(true);
            if let Some(ended) = self.waiters.unless_left(exchange.as_mut()).await {
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
