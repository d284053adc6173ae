//! A flight: one series of requests, however many callers wait for what it brings.
//!
//! Knows who may join whom and how waiters learn of the outcome; it neither sends nor stores.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::{CacheKey, CachedToken};
use crate::error::Error;
use crate::http::retry_loop::{AttemptStats, Deadline};
use crate::http::retry_policy::RetryOptions;
use crate::http::timer::timeout_at;
use crate::http::waiters::Waiters;
use crate::metadata::{CacheRefreshReason, Metadata, TokenSource};
use crate::options::resource::is_guid;
use crate::platform::{Clock, WallClocks};
use crate::source::{ErrorContext, SourceName, tenant_id};
use crate::token::{Timestamp, Token};

/// A caller whose token is nearly expired waits this long for another, from the flight's start.
const NEAR_EXPIRY_WAIT: Duration = Duration::from_secs(2);

/// Why a flight was started, which decides who may join it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquisitionTrigger {
    /// Nothing was cached.
    CacheMiss,
    /// The caller wants a new token.
    ForceRefresh,
    /// A service refused the cached token, whose hash goes along where the source takes it.
    ClaimsChallenge(Option<String>),
    /// A token is to be replaced in good time.
    BackgroundRefresh,
}

impl AcquisitionTrigger {
    /// Whether a caller with this reason may share a flight that was started for another. `from_shelf`: such a flight
    /// may bring a token from a cache outside of this process.
    pub fn can_share(&self, in_flight: &Self, from_shelf: bool) -> bool {
        let brings_another = |in_flight: &Self| match in_flight {
            Self::ForceRefresh => true,
            Self::CacheMiss => !from_shelf,
            _ => false,
        };
        match self {
            Self::CacheMiss | Self::BackgroundRefresh => true,
            Self::ForceRefresh => brings_another(in_flight),
            Self::ClaimsChallenge(None) => {
                brings_another(in_flight) || *in_flight == Self::ClaimsChallenge(None)
            }
            Self::ClaimsChallenge(Some(_)) => self == in_flight,
        }
    }
}

/// What callers must agree in to share a flight.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CoalescingKey {
    /// What is asked for.
    pub cache_key: CacheKey,
    /// Which transport carries it.
    pub transport: usize,
    /// Whether it is asked for once only.
    pub disable_internal_retries: bool,
    /// How often it is asked for again, and after what waits.
    pub retry_options: RetryOptions,
    /// The `claims` parameter of its requests, for a source that takes one.
    pub claims: Option<String>,
    /// For how long an identity that is not found is asked for again.
    pub identity_not_found_timeout: Option<Duration>,
    /// Whether it is asked first whether anybody is there.
    pub needs_probe: bool,
    /// Which cache outside of this process is looked into.
    pub persistent_store: Option<String>,
}

/// A token that was served.
#[derive(Clone, Debug)]
pub struct AcquiredToken {
    /// The token.
    pub token: Arc<Token>,
    /// Whether it was there before this call.
    pub from_cache: bool,
    /// Until when it may be served again without asking; `None` if it must not be remembered.
    pub fresh_until: Option<Timestamp>,
    /// The cache's generation when it was looked up.
    pub generation: u32,
    /// What is told of the call.
    pub metadata: Metadata,
}

/// What a flight brought.
pub type AcquisitionResult = Result<AcquiredToken, Error>;

/// How a flight ended.
#[derive(Clone, Debug)]
pub enum Completion {
    /// With a token, or an error that no retry would better.
    Finished(AcquisitionResult),
    /// At the time of the last of its waiters, each of which says so for itself; or after the last has left.
    TimedOut,
}

/// What is known of a flight by now.
#[derive(Clone, Default)]
struct Status {
    /// A valid token, if not as good a one as is under way.
    fallback: Option<AcquiredToken>,
    /// The token that was under way, with which something remains to be done.
    token: Option<AcquiredToken>,
    completion: Option<Completion>,
}

/// One series of requests that is under way.
pub struct InFlightRequest {
    /// Flights are counted.
    pub sequence: u64,
    /// How often the cache was cleared before it started.
    pub epoch: u64,
    /// Why it was started.
    pub trigger: AcquisitionTrigger,
    /// The same in the words of its metadata.
    pub cache_refresh_reason: CacheRefreshReason,
    /// When the last of its waiters gives up.
    pub deadline: Deadline,
    /// Its waiters that have neither given up nor left. They join under the lock under which it ends without any.
    pub waiters: Waiters,
    /// Whether what it brings is no longer wanted in the cache: a caller has asked for another token since.
    pub superseded: AtomicBool,
    /// How far it is.
    pub stats: AttemptStats,
    /// Who is asked.
    pub error_context: ErrorContext,
    /// How far the clock of the caller who started it was ahead of the system's then, in milliseconds.
    pub offset_ms: i64,
    started_at: Instant,
    status: watch::Sender<Status>,
}

impl InFlightRequest {
    /// A flight that starts now; one in the background goes on for all of `total` without waiters.
    pub fn new(
        number: u64,
        epoch: u64,
        (reason, refresh_reason): (AcquisitionTrigger, CacheRefreshReason),
        total: Duration,
        in_background: bool,
        error_context: ErrorContext,
        called_at: WallClocks,
    ) -> Arc<Self> {
        Arc::new(Self {
            sequence: number,
            epoch,
            trigger: reason,
            cache_refresh_reason: refresh_reason,
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

    /// Tells every waiter how it ended; only the first call counts.
    pub fn complete(&self, completion: Completion) {
        self.status.send_if_modified(|known| {
            let first = known.completion.is_none();
            if first {
                known.completion = Some(completion);
            }
            first
        });
    }

    /// A valid token, if not as good a one as is under way: it is served instead of a failure or a long wait.
    pub fn set_fallback(&self, acquired: AcquiredToken) {
        self.status.send_modify(|known| known.fallback = Some(acquired));
    }

    /// The token has come, and nobody's time runs out on what remains to be done with it.
    pub fn set_token(&self, acquired: AcquiredToken) {
        self.status.send_modify(|known| known.token = Some(acquired));
    }

    /// What is told of it so far.
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

    /// Whether it has told its waiters how it ended.
    pub fn is_complete(&self) -> bool {
        self.status.borrow().completion.is_some()
    }

    /// A waiter that gives up after `total`. `fallback` is served instead of a failure or a long wait.
    pub fn add_waiter(
        self: &Arc<Self>,
        total: Duration,
        fallback: Option<AcquiredToken>,
        tenant: Option<String>,
        (clock, called_at): (Arc<dyn Clock>, WallClocks),
    ) -> Waiter {
        self.deadline.extend_to(total);
        self.waiters.join();
        Waiter {
            request: self.clone(),
            timeout: total,
            started_at: Instant::now(),
            fallback,
            tenant,
            clock,
            called_at,
        }
    }
}

/// A caller who waits for a flight, with a timer of its own. Dropping the waiter means leaving.
pub struct Waiter {
    request: Arc<InFlightRequest>,
    timeout: Duration,
    started_at: Instant,
    fallback: Option<AcquiredToken>,
    tenant: Option<String>,
    clock: Arc<dyn Clock>,
    called_at: WallClocks,
}

impl Waiter {
    /// Which source is asked.
    pub fn source(&self) -> SourceName {
        self.request.error_context.source()
    }

    /// Whether the endpoint's certificate is verified against the roots of this process.
    pub fn is_verified(&self) -> bool {
        let error_context = &self.request.error_context;
        error_context.endpoint().starts_with("https:") && error_context.source() != SourceName::ServiceFabric
    }

    /// Waits for the flight, the timer, or the end of patience with a token to fall back on.
    pub async fn wait(self) -> AcquisitionResult {
        let outcome = self.wait_for_result().await.and_then(|acquired| {
            let error_context = &self.request.error_context;
            acquired.check_tenant(self.tenant.as_deref(), error_context)?;
            Ok(acquired)
        });
        match outcome {
            Ok(mut acquired) => {
                acquired.metadata = self.metadata(acquired.metadata.token_source);
                Ok(acquired)
            }
            Err(error) => Err(error.map_details(|details| details.metadata = Some(self.metadata(None)))),
        }
    }

    fn metadata(&self, token_source: Option<TokenSource>) -> Metadata {
        let mut metadata = Metadata {
            token_source,
            total_time: self.started_at.elapsed(),
            ..self.request.metadata()
        };
        if token_source == Some(TokenSource::Cache) && metadata.attempts == 0 {
            metadata.cache_refresh_reason = CacheRefreshReason::NotApplicable;
        }
        metadata
    }

    async fn wait_for_result(&self) -> AcquisitionResult {
        let timer = self.started_at + self.timeout;
        let mut known = self.request.status.subscribe();
        loop {
            let Status {
                fallback: spare,
                token: arrived,
                completion,
            } = known.borrow_and_update().clone();
            if let Some(Completion::Finished(Ok(acquired))) = completion {
                return Ok(acquired);
            }
            let fallback = [&self.fallback, &spare]
                .into_iter()
                .flatten()
                .find(|acquired| self.is_valid(acquired));
            let until = fallback.map_or(timer, |_| timer.min(self.request.started_at + NEAR_EXPIRY_WAIT));
            // The sender lives in the flight, which this waiter holds: it is not closed.
            if completion.is_none() && timeout_at(until, known.changed()).await.is_some() {
                continue;
            }
            // The token may have expired meanwhile: then the patience ends, the time does not.
            let mut acquired = [arrived.as_ref(), fallback].into_iter().flatten();
            match acquired.find(|acquired| self.is_valid(acquired)) {
                Some(acquired) => return Ok(acquired.clone()),
                None => match completion {
                    Some(Completion::Finished(failed)) => return failed,
                    Some(Completion::TimedOut) => return Err(self.timeout_error()),
                    None if until == timer => return Err(self.timeout_error()),
                    None => {}
                },
            }
        }
    }

    fn is_valid(&self, acquired: &AcquiredToken) -> bool {
        acquired.token.is_valid(self.called_at.when(self.clock.now()))
    }

    fn timeout_error(&self) -> Error {
        self.request
            .error_context
            .timed_out(self.timeout, &self.request.stats)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.request.waiters.leave();
    }
}

impl AcquiredToken {
    /// A token from the cache.
    pub fn from_cache(stored: CachedToken, generation: u32, now: WallClocks, metadata: Metadata) -> Self {
        // By a clock that a test moves it is looked up each time.
        let is_fresh = !now.disagree() && stored.fresh_until > now.latest(stored.token.offset_ms);
        let fresh_until = is_fresh.then_some(stored.fresh_until);
        Self {
            token: stored.token,
            from_cache: true,
            fresh_until,
            generation,
            metadata,
        }
    }

    /// Refuses a token of another tenant than the one that is wanted. The tenant of a token that is not a JWT cannot be
    /// told; and only a GUID names a tenant that can be compared: `common` and its like name none, a domain any.
    pub fn check_tenant(&self, wanted: Option<&str>, error_context: &ErrorContext) -> Result<(), Error> {
        let Some(wanted) = wanted.filter(|wanted| is_guid(wanted)) else {
            return Ok(());
        };
        match tenant_id(self.token.secret.expose_secret()) {
            Some(tenant) if !tenant.eq_ignore_ascii_case(wanted) => {
                Err(error_context.tenant_mismatch(wanted, &tenant))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_decides_which_requests_are_shared() {
        let [one, two] = ["a", "b"].map(|hash| AcquisitionTrigger::ClaimsChallenge(Some(hash.into())));
        let all = [
            AcquisitionTrigger::CacheMiss,
            AcquisitionTrigger::ForceRefresh,
            AcquisitionTrigger::BackgroundRefresh,
            AcquisitionTrigger::ClaimsChallenge(None),
            one.clone(),
            two.clone(),
        ];
        let joined_by = |reason: &AcquisitionTrigger, from_shelf| {
            all.iter()
                .map(|in_flight| reason.can_share(in_flight, from_shelf))
                .collect::<Vec<_>>()
        };
        let joined = |reason: &AcquisitionTrigger| joined_by(reason, false);
        assert_eq!(joined(&AcquisitionTrigger::CacheMiss), [true; 6]);
        assert_eq!(joined(&AcquisitionTrigger::BackgroundRefresh), [true; 6]);
        assert_eq!(
            joined(&AcquisitionTrigger::ForceRefresh),
            [true, true, false, false, false, false]
        );
        assert_eq!(
            joined(&AcquisitionTrigger::ClaimsChallenge(None)),
            [true, true, false, true, false, false]
        );
        assert_eq!(joined(&one), [false, false, false, false, true, false]);
        let joined_where_others_keep = |reason: &AcquisitionTrigger| joined_by(reason, true);
        assert_eq!(
            joined_where_others_keep(&AcquisitionTrigger::CacheMiss),
            [true; 6]
        );
        assert_eq!(
            joined_where_others_keep(&AcquisitionTrigger::ForceRefresh),
            [false, true, false, false, false, false]
        );
        assert_eq!(
            joined_where_others_keep(&AcquisitionTrigger::ClaimsChallenge(None)),
            [false, true, false, true, false, false]
        );
        assert_eq!(joined(&two), [false, false, false, false, false, true]);
    }
}
