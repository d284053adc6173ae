//! The retry loop against the retry table of docs/wire-protocol.md, in paused time.

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

/// A [`ChallengeHandler`] that returns its result at once.
type SyncChallenge<'a> = dyn Fn(&Response) -> Result<Option<Request>, Error> + Send + Sync + 'a;

/// The parameters of a retry loop, except the transport.
struct Conditions {
    limiter: Arc<EndpointLimiter>,
    policy: Option<&'static RetryPolicy>,
    retry_options: RetryOptions,
    total: Duration,
    fraction: f64,
    identity_not_found: Option<IdentityNotFoundRetry>,
    clock: Arc<FakeClock>,
    stats: AttemptStats,
    /// One caller, until a test removes it.
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
            identity_not_found: None,
            clock,
            stats: AttemptStats::default(),
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
            identity_not_found: self.identity_not_found,
            platform: &platform,
            stats: &self.stats,
        };
        retry_loop.run(request, &challenge, &DelayObserver).await
    }
}

/// Returns an error whose message contains the delay.
struct DelayObserver;

impl RetryObserver for DelayObserver {
    fn on_retry(&self, _: AttemptOutcome, wait: Duration) -> RetryReport<'_> {
        let error = Error::new(Code::FailedResponse, format!("retry in {} ms", wait.as_millis()));
        Box::pin(async { error })
    }
}

fn get() -> Request {
    Request::get(Url::parse("http://127.0.0.1:8081/token?a=b").expect("a URL"))
}

/// A transport that returns these responses in order, and the last one for every further request.
fn responses(responses: &[FakeResponse]) -> Arc<FakeTransport> {
    let responses = responses.to_vec();
    FakeTransport::scripted(move |nth, _| responses[nth.min(responses.len() - 1)].clone().into())
}

fn statuses(statuses: &[u16]) -> Arc<FakeTransport> {
    let list: Vec<_> = statuses
        .iter()
        .map(|status| FakeResponse::new(*status, ""))
        .collect();
    responses(&list)
}

/// Runs a retry loop. Returns when its requests were sent, in milliseconds from the start, and its outcome.
async fn run_and_time(conditions: &Conditions, transport: &FakeTransport) -> (Vec<u128>, AttemptOutcome) {
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

fn error_kind_of(end: &AttemptOutcome) -> Option<TransportErrorKind> {
    match end {
        AttemptOutcome::TransportError(error) => Some(error.kind),
        _ => None,
    }
}
