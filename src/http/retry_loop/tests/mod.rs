//! The loop against the tables of the wire contract, in paused time.

mod identity_not_found;
mod options;
mod properties;
mod request_timeouts;
mod retry_after;
mod retry_limits;
mod unattended;

use std::sync::Arc;

use super::*;
use crate::error::Code;
use crate::http::Url;
use crate::http::retry_policy::{DEFAULT, IMDS_CONFIGURED, IMDS_DEFAULT};
use crate::platform::FixedRandom;
use crate::test_support::{FakeClock, FakeFiles, FakeOutcome, FakeResponse, FakeTransport, platform};

const HOUR: Duration = Duration::from_hours(1);

/// A [`ChallengeHandler`] whose request is built at once.
type SyncChallenge<'a> = dyn Fn(&Response) -> Result<Option<Request>, Error> + Send + Sync + 'a;

/// What a retry loop goes by, but for the network.
struct Conditions {
    limiter: Arc<EndpointLimiter>,
    policy: Option<&'static RetryPolicy>,
    retry_options: RetryOptions,
    total: Duration,
    fraction: f64,
    awaited: Option<IdentityNotFoundRetry>,
    clock: Arc<FakeClock>,
    progress: AttemptStats,
    /// One caller, unless a test has it leave.
    waiters: Waiters,
}

impl Conditions {
    fn of(policy: &'static RetryPolicy) -> Self {
        let clock = FakeClock::new();
        let waiters = Waiters::new(None);
        waiters.join();
        Self {
            limiter: Arc::new(EndpointLimiter::new(clock.clone())),
            policy: Some(policy),
            retry_options: RetryOptions::default(),
            total: HOUR,
            fraction: 0.0,
            awaited: None,
            clock,
            progress: AttemptStats::default(),
            waiters,
        }
    }

    fn without_retries() -> Self {
        Self {
            policy: None,
            ..Self::of(&DEFAULT)
        }
    }

    async fn run(&self, transport: &FakeTransport) -> AttemptOutcome {
        self.run_with(transport, &get(), &|_| Ok(None)).await
    }

    async fn run_with(
        &self,
        transport: &FakeTransport,
        request: &Request,
        challenge: &SyncChallenge<'_>,
    ) -> AttemptOutcome {
        let challenge = |response: &Response| -> ChallengeFuture<'_> {
            let built = challenge(response);
            Box::pin(async { built })
        };
        let mut platform = platform(&self.clock, &Arc::new(FakeFiles::default()));
        platform.random = Arc::new(FixedRandom(self.fraction));
        let retry_loop = RetryLoop {
            transport,
            limiter: &self.limiter,
            policy: self.policy,
            retry_options: self.retry_options,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            last_request_timeout: Duration::from_secs(30),
            deadline: &Deadline::after(self.total),
            waiters: &self.waiters,
            identity_not_found: self.awaited,
            platform: &platform,
            stats: &self.progress,
        };
        retry_loop.run(request, &challenge, &Waits).await
    }
}

/// Puts each wait into words.
struct Waits;

impl RetryObserver for Waits {
    fn on_retry(&self, _: AttemptOutcome, wait: Duration) -> RetryReport<'_> {
        let error = Error::new(Code::FailedResponse, format!("again in {} ms", wait.as_millis()));
        Box::pin(async { error })
    }
}

fn get() -> Request {
    Request::get(Url::parse("http://127.0.0.1:8081/token?a=b").expect("a URL"))
}

fn answers(replies: &[FakeResponse]) -> Arc<FakeTransport> {
    let replies = replies.to_vec();
    FakeTransport::scripted(move |nth, _| replies[nth.min(replies.len() - 1)].clone().into())
}

fn statuses(statuses: &[u16]) -> Arc<FakeTransport> {
    let replies: Vec<_> = statuses
        .iter()
        .map(|status| FakeResponse::new(*status, ""))
        .collect();
    answers(&replies)
}

/// When the requests of a retry loop left, in milliseconds, and how it ended.
async fn sent(conditions: &Conditions, transport: &FakeTransport) -> (Vec<u128>, AttemptOutcome) {
    let started = Instant::now();
    let end = conditions.run(transport).await;
    (transport.times(started), end)
}

fn status_of(end: &AttemptOutcome) -> Option<u16> {
    match end {
        AttemptOutcome::Response(response) => Some(response.status),
        _ => None,
    }
}

fn fault_of(end: &AttemptOutcome) -> Option<TransportErrorKind> {
    match end {
        AttemptOutcome::TransportError(fault) => Some(fault.kind),
        _ => None,
    }
}
