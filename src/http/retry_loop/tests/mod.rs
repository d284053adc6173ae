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
use crate::http::retry_policy::{CONFIGURED, IMDS_CONFIGURED, IMDS_DEFAULT};
use crate::platform::Fixed;
use crate::test_support::{FakeClock, FakeFiles, FakeNet, Play, Reply, machine};

const HOUR: Duration = Duration::from_hours(1);

/// A [`Challenge`] whose request is built at once.
type SyncChallenge<'a> = dyn Fn(&Response) -> Result<Option<Request>, Error> + Send + Sync + 'a;

/// What a chain goes by, but for the network.
struct Conditions {
    gate: Arc<Gate>,
    policy: Option<&'static Policy>,
    retry_options: RetryOptions,
    total: Duration,
    fraction: f64,
    awaited: Option<Awaited>,
    clock: Arc<FakeClock>,
    progress: Progress,
    /// One caller, unless a test has it leave.
    waiters: Waiters,
}

impl Conditions {
    fn of(policy: &'static Policy) -> Self {
        let clock = FakeClock::new();
        let waiters = Waiters::new(None);
        waiters.join();
        Self {
            gate: Arc::new(Gate::new(clock.clone())),
            policy: Some(policy),
            retry_options: RetryOptions::default(),
            total: HOUR,
            fraction: 0.0,
            awaited: None,
            clock,
            progress: Progress::default(),
            waiters,
        }
    }

    fn without_retries() -> Self {
        Self {
            policy: None,
            ..Self::of(&CONFIGURED)
        }
    }

    async fn run(&self, net: &FakeNet) -> End {
        self.run_with(net, &get(), &|_| Ok(None)).await
    }

    async fn run_with(&self, net: &FakeNet, request: &Request, challenge: &SyncChallenge<'_>) -> End {
        let challenge = |response: &Response| -> ChallengeRequest<'_> {
            let built = challenge(response);
            Box::pin(async { built })
        };
        let mut machine = machine(&self.clock, &Arc::new(FakeFiles::default()));
        machine.chance = Arc::new(Fixed(self.fraction));
        let chain = Chain {
            transport: net,
            gate: &self.gate,
            policy: self.policy,
            retry_options: self.retry_options,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            last_request_timeout: Duration::from_secs(30),
            deadline: &Deadline::within(self.total),
            waiters: &self.waiters,
            awaited: self.awaited,
            machine: &machine,
            progress: &self.progress,
        };
        chain.run(request, &challenge, &Waits).await
    }
}

/// Puts each wait into words.
struct Waits;

impl Witness for Waits {
    fn retrying(&self, _: &End, wait: Duration) -> Error {
        Error::new(Code::FailedResponse, format!("again in {} ms", wait.as_millis()))
    }
}

fn get() -> Request {
    Request::get(Url::parse("http://127.0.0.1:8081/token?a=b").expect("a URL"))
}

fn answers(replies: &[Reply]) -> Arc<FakeNet> {
    let replies = replies.to_vec();
    FakeNet::playing(move |nth, _| replies[nth.min(replies.len() - 1)].clone().into())
}

fn statuses(statuses: &[u16]) -> Arc<FakeNet> {
    let replies: Vec<_> = statuses.iter().map(|status| Reply::new(*status, "")).collect();
    answers(&replies)
}

/// When the requests of a chain left, in milliseconds, and how it ended.
async fn sent(conditions: &Conditions, net: &FakeNet) -> (Vec<u128>, End) {
    let started = Instant::now();
    let end = conditions.run(net).await;
    (net.times(started), end)
}

fn status_of(end: &End) -> Option<u16> {
    match end {
        End::Answer(answer) => Some(answer.status),
        _ => None,
    }
}

fn fault_of(end: &End) -> Option<FaultKind> {
    match end {
        End::Fault(fault) => Some(fault.kind),
        _ => None,
    }
}
