//! A flight: one chain of requests, however many callers wait for what it brings.
//!
//! Knows who may join whom and how waiters learn of the outcome; it neither sends nor stores.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::{Key, Stored};
use crate::error::Error;
use crate::http::retry_loop::{Deadline, Progress};
use crate::http::retry_policy::RetryOptions;
use crate::http::timer::timeout_at;
use crate::http::waiters::Waiters;
use crate::metadata::{Metadata, RefreshReason, TokenSource};
use crate::options::resource::is_guid;
use crate::platform::{Clock, WallClocks};
use crate::source::{Report, SourceName, tenant};
use crate::token::{Timestamp, Token};

/// A caller whose token is nearly expired waits this long for another, from the flight's start.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a flight was started, which decides who may join it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was cached.
    Empty,
    /// The caller wants a new token.
    Forced,
    /// A service refused the cached token, whose hash goes along where the source takes it.
    Claims(Option<String>),
    /// A token is to be replaced in good time.
    Refresh,
}

impl Reason {
    /// Whether a caller with this reason may share a flight that was started for another. `from_shelf`: such a flight
    /// may bring a token from a cache outside of this process.
    pub fn may_join(&self, flight: &Self, from_shelf: bool) -> bool {
        let brings_another = |flight: &Self| match flight {
            Self::Forced => true,
            Self::Empty => !from_shelf,
            _ => false,
        };
        match self {
            Self::Empty | Self::Refresh => true,
            Self::Forced => brings_another(flight),
            Self::Claims(None) => brings_another(flight) || *flight == Self::Claims(None),
            Self::Claims(Some(_)) => self == flight,
        }
    }
}

/// What callers must agree in to share a flight.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FlightKey {
    /// What is asked for.
    pub key: Key,
    /// Which transport carries it.
    pub transport: usize,
    /// Whether it is asked for once only.
    pub disable_internal_retries: bool,
    /// How often it is asked for again, and after what waits.
    pub retry_options: RetryOptions,
    /// The `claims` parameter of its requests, for a source that takes one.
    pub claims: Option<String>,
    /// For how long an identity that is not found is asked for again.
    pub identity_wait: Option<Duration>,
    /// Whether it is asked first whether anybody is there.
    pub probe: bool,
    /// Which cache outside of this process is looked into.
    pub shelf: Option<String>,
}

/// A token that was served.
#[derive(Clone, Debug)]
pub struct Served {
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
pub type Outcome = Result<Served, Error>;

/// How a flight ended.
#[derive(Clone, Debug)]
pub enum Landing {
    /// With a token, or an error that no retry would better.
    Ended(Outcome),
    /// At the time of the last of its waiters, each of which says so for itself; or after the last has left.
    OutOfTime,
}

/// What is known of a flight by now.
#[derive(Clone, Default)]
struct Known {
    /// A valid token, if not as good a one as is under way.
    spare: Option<Served>,
    /// The token that was under way, with which something remains to be done.
    arrived: Option<Served>,
    landing: Option<Landing>,
}

/// One chain of requests that is under way.
pub struct Flight {
    /// Flights are counted.
    pub number: u64,
    /// How often the cache was cleared before it started.
    pub epoch: u64,
    /// Why it was started.
    pub reason: Reason,
    /// The same in the words of its metadata.
    pub refresh_reason: RefreshReason,
    /// When the last of its waiters gives up.
    pub deadline: Deadline,
    /// Its waiters that have neither given up nor left. They join under the lock under which it ends without any.
    pub waiters: Waiters,
    /// Whether what it brings is no longer wanted in the cache: a caller has asked for another token since.
    pub outdated: AtomicBool,
    /// How far it is.
    pub progress: Progress,
    /// Who is asked.
    pub report: Report,
    /// How far the clock of the caller who started it was ahead of the system's then, in milliseconds.
    pub offset_ms: i64,
    started: Instant,
    known: watch::Sender<Known>,
}

impl Flight {
    /// A flight that starts now; one in the background goes on for all of `total` without waiters.
    pub fn new(
        number: u64,
        epoch: u64,
        (reason, refresh_reason): (Reason, RefreshReason),
        total: Duration,
        in_background: bool,
        report: Report,
        called_at: WallClocks,
    ) -> Arc<Self> {
        Arc::new(Self {
            number,
            epoch,
            reason,
            refresh_reason,
            deadline: Deadline::within(total),
            waiters: Waiters::new(in_background.then(|| Instant::now() + total)),
            outdated: AtomicBool::new(false),
            progress: Progress::default(),
            report,
            offset_ms: called_at.offset_ms(),
            started: Instant::now(),
            known: watch::Sender::new(Known::default()),
        })
    }

    /// Tells every waiter how it ended; only the first call counts.
    pub fn land(&self, landing: Landing) {
        self.known.send_if_modified(|known| {
            let first = known.landing.is_none();
            if first {
                known.landing = Some(landing);
            }
            first
        });
    }

    /// A valid token, if not as good a one as is under way: it is served instead of a failure or a long wait.
    pub fn fall_back_on(&self, served: Served) {
        self.known.send_modify(|known| known.spare = Some(served));
    }

    /// The token has come, and nobody's time runs out on what remains to be done with it.
    pub fn arrived(&self, served: Served) {
        self.known.send_modify(|known| known.arrived = Some(served));
    }

    /// What is told of it so far.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            token_source: None,
            refresh_reason: self.refresh_reason,
            attempts: self.progress.attempts(),
            in_http: self.progress.in_http(),
            in_cache: self.progress.in_cache(),
            total: self.started.elapsed(),
            endpoint: self.report.endpoint().to_owned(),
        }
    }

    /// Whether it has told its waiters how it ended.
    pub fn has_landed(&self) -> bool {
        self.known.borrow().landing.is_some()
    }

    /// A waiter that gives up after `total`. `fallback` is served instead of a failure or a long wait.
    pub fn waiter(
        self: &Arc<Self>,
        total: Duration,
        fallback: Option<Served>,
        tenant: Option<String>,
        (clock, called_at): (Arc<dyn Clock>, WallClocks),
    ) -> Waiter {
        self.deadline.put_off(total);
        self.waiters.join();
        Waiter {
            flight: self.clone(),
            total,
            since: Instant::now(),
            fallback,
            tenant,
            clock,
            called_at,
        }
    }
}

/// A caller who waits for a flight, with a timer of its own. Dropping the waiter means leaving.
pub struct Waiter {
    flight: Arc<Flight>,
    total: Duration,
    since: Instant,
    fallback: Option<Served>,
    tenant: Option<String>,
    clock: Arc<dyn Clock>,
    called_at: WallClocks,
}

impl Waiter {
    /// Which source is asked.
    pub fn source(&self) -> SourceName {
        self.flight.report.source()
    }

    /// Whether the endpoint's certificate is verified against the roots of this process.
    pub fn is_verified(&self) -> bool {
        let report = &self.flight.report;
        report.endpoint().starts_with("https:") && report.source() != SourceName::ServiceFabric
    }

    /// Waits for the flight, the timer, or the end of patience with a token to fall back on.
    pub async fn wait(self) -> Outcome {
        let outcome = self.outcome().await.and_then(|served| {
            let report = &self.flight.report;
            served.of_tenant(self.tenant.as_deref(), report)?;
            Ok(served)
        });
        match outcome {
            Ok(mut served) => {
                served.metadata = self.metadata(served.metadata.token_source);
                Ok(served)
            }
            Err(error) => Err(error.with(|facts| facts.metadata = Some(self.metadata(None)))),
        }
    }

    fn metadata(&self, token_source: Option<TokenSource>) -> Metadata {
        let mut metadata = Metadata {
            token_source,
            total: self.since.elapsed(),
            ..self.flight.metadata()
        };
        if token_source == Some(TokenSource::Cache) && metadata.attempts == 0 {
            metadata.refresh_reason = RefreshReason::NotApplicable;
        }
        metadata
    }

    async fn outcome(&self) -> Outcome {
        let timer = self.since + self.total;
        let mut known = self.flight.known.subscribe();
        loop {
            let Known {
                spare,
                arrived,
                landing,
            } = known.borrow_and_update().clone();
            if let Some(Landing::Ended(Ok(served))) = landing {
                return Ok(served);
            }
            let fallback = [&self.fallback, &spare]
                .into_iter()
                .flatten()
                .find(|served| self.is_valid(served));
            let until = fallback.map_or(timer, |_| timer.min(self.flight.started + PATIENCE));
            // The sender lives in the flight, which this waiter holds: it is not closed.
            if landing.is_none() && timeout_at(until, known.changed()).await.is_some() {
                continue;
            }
            // The token may have expired meanwhile: then the patience ends, the time does not.
            let mut served = [arrived.as_ref(), fallback].into_iter().flatten();
            match served.find(|served| self.is_valid(served)) {
                Some(served) => return Ok(served.clone()),
                None => match landing {
                    Some(Landing::Ended(failed)) => return failed,
                    Some(Landing::OutOfTime) => return Err(self.out_of_time()),
                    None if until == timer => return Err(self.out_of_time()),
                    None => {}
                },
            }
        }
    }

    fn is_valid(&self, served: &Served) -> bool {
        served.token.is_valid(self.called_at.when(self.clock.now()))
    }

    fn out_of_time(&self) -> Error {
        self.flight.report.out_of_time(self.total, &self.flight.progress)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flight.waiters.leave();
    }
}

impl Served {
    /// A token from the cache.
    pub fn cached(stored: Stored, generation: u32, now: WallClocks, metadata: Metadata) -> Self {
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
    pub fn of_tenant(&self, wanted: Option<&str>, report: &Report) -> Result<(), Error> {
        let Some(wanted) = wanted.filter(|wanted| is_guid(wanted)) else {
            return Ok(());
        };
        match tenant(self.token.secret.expose()) {
            Some(tenant) if !tenant.eq_ignore_ascii_case(wanted) => Err(report.other_tenant(wanted, &tenant)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_join_whom() {
        let [one, two] = ["a", "b"].map(|hash| Reason::Claims(Some(hash.into())));
        let all = [
            Reason::Empty,
            Reason::Forced,
            Reason::Refresh,
            Reason::Claims(None),
            one.clone(),
            two.clone(),
        ];
        let joined_by = |reason: &Reason, from_shelf| {
            all.iter()
                .map(|flight| reason.may_join(flight, from_shelf))
                .collect::<Vec<_>>()
        };
        let joined = |reason: &Reason| joined_by(reason, false);
        assert_eq!(joined(&Reason::Empty), [true; 6]);
        assert_eq!(joined(&Reason::Refresh), [true; 6]);
        assert_eq!(joined(&Reason::Forced), [true, true, false, false, false, false]);
        assert_eq!(
            joined(&Reason::Claims(None)),
            [true, true, false, true, false, false]
        );
        assert_eq!(joined(&one), [false, false, false, false, true, false]);
        let joined_where_others_keep = |reason: &Reason| joined_by(reason, true);
        assert_eq!(joined_where_others_keep(&Reason::Empty), [true; 6]);
        assert_eq!(
            joined_where_others_keep(&Reason::Forced),
            [false, true, false, false, false, false]
        );
        assert_eq!(
            joined_where_others_keep(&Reason::Claims(None)),
            [false, true, false, true, false, false]
        );
        assert_eq!(joined(&two), [false, false, false, false, false, true]);
    }
}
