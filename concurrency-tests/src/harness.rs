//! Shared parts of the tests: the choice of schedules, and a token client that many threads call.

use std::io;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, Runner};
use tokio::runtime::Handle;

use crate::acquisition::outcome::{AcquiredToken, AcquisitionResult};
use crate::acquisition::{Acquisition, ApplicationContext, TokenClient};
use crate::options::UntypedValue;
use crate::options::request::{CachePolicy, RawRequest, TokenRequest};
use crate::platform::{Clock as _, Environment};
use crate::sync::Arc;
use crate::test_support::{self, FakeClock, FakeFiles, FakeTransport, options};
use crate::token::CallerClock;

/// The default number of schedules per test and scheduler; the variable `SCHEDULES` overrides it.
const SCHEDULES: usize = 2_000;
/// A fixed seed, so that every run uses the same schedules.
const SEED: u64 = 0x5eed;
/// The number of forced context switches per schedule: most races need one or two of them at the right place.
const CONTEXT_SWITCHES: usize = 3;
/// The stacks that shuttle uses by default are too small for the nested futures of an unoptimized build.
const STACK_SIZE: usize = 256 * 1_024;

#[expect(
    clippy::disallowed_methods,
    reason = "the number of schedules is a setting of the test run"
)]
pub(crate) fn under_every_schedule(test: fn()) {
    let requested = std::env::var("SCHEDULES")
        .ok()
        .and_then(|count| count.parse().ok());
    let count = requested.unwrap_or(SCHEDULES);
    let mut config = Config::new();
    config.stack_size = STACK_SIZE;
    let random = RandomScheduler::new_from_seed(SEED, count);
    Runner::new(random, config.clone()).run(test);
    let few_switches = PctScheduler::new_from_seed(SEED, CONTEXT_SWITCHES, count);
    Runner::new(few_switches, config).run(test);
}

/// A token client that many threads call, with its transport and its clock.
#[derive(Clone)]
pub(crate) struct Harness {
    pub(crate) client: Arc<TokenClient>,
    pub(crate) transport: Arc<FakeTransport>,
    pub(crate) clock: Arc<FakeClock>,
}

impl Harness {
    pub(crate) fn new(transport: Arc<FakeTransport>) -> Self {
        let clock = FakeClock::new();
        let platform = test_support::platform(&clock, &Arc::new(FakeFiles::default()));
        let runtime_handle = || Handle::try_current().map_err(io::Error::other);
        let client = TokenClient::new(platform, transport.clone(), runtime_handle);
        Self {
            client,
            transport,
            clock,
        }
    }

    pub(crate) fn acquire(&self, cache_policy: CachePolicy) -> Acquisition {
        let raw = RawRequest {
            resource: "https://vault.azure.net".into(),
            force_refresh: UntypedValue::Boolean(cache_policy == CachePolicy::ForceRefresh),
            claims: UntypedValue::String(
                if cache_policy == CachePolicy::ReplaceRefused {
                    "{}"
                } else {
                    ""
                }
                .into(),
            ),
            ..RawRequest::default()
        };
        let request = TokenRequest::parse(&raw, String::new()).expect("valid");
        let caller = CallerClock {
            now: self.clock.now(),
            thread: 0,
        };
        let application = ApplicationContext::new(options(|_| {}));
        let acquired = self
            .client
            .acquire(&application, &request, &Environment::default(), caller);
        acquired.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn outcome(&self, cache_policy: CachePolicy) -> AcquisitionResult {
        match self.acquire(cache_policy) {
            Acquisition::Ready(acquired) => Ok(acquired),
            // As in the binding, a separate task waits; it may start late.
            Acquisition::Pending(waiter) => {
                let waiting = tokio::spawn(waiter.wait());
                shuttle::future::block_on(waiting).expect("no panic")
            }
        }
    }

    /// Starts a thread that requests one token.
    pub(crate) fn caller(&self, cache_policy: CachePolicy) -> JoinHandle<AcquisitionResult> {
        let harness = self.clone();
        thread::spawn(move || harness.outcome(cache_policy))
    }

    /// Returns the cached token.
    pub(crate) fn held(&self) -> Option<AcquiredToken> {
        match self.acquire(CachePolicy::UseCache) {
            Acquisition::Ready(acquired) => Some(acquired),
            Acquisition::Pending(_) => None,
        }
    }
}

pub(crate) fn tokens(callers: Vec<JoinHandle<AcquisitionResult>>) -> Vec<AcquiredToken> {
    let outcomes = callers.into_iter().map(|caller| caller.join().expect("no panic"));
    outcomes
        .map(|outcome| outcome.unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

pub(crate) fn text(acquired: &AcquiredToken) -> &str {
    acquired.token.secret.expose_secret()
}

/// Returns the number of the request whose response contained the token.
pub(crate) fn nth(acquired: &AcquiredToken) -> usize {
    text(acquired)[1..].parse().expect("t and a number")
}

/// Checks that every memoizable token of the current generation is the cached token.
pub(crate) fn assert_memo_is_right(harness: &Harness, returned: &[AcquiredToken]) {
    let held = harness.held().expect("a token is held");
    let generation = harness.client.generation();
    for acquired in returned {
        if acquired.generation == generation && acquired.fresh_until.is_some() {
            assert!(
                Arc::ptr_eq(&acquired.token, &held.token),
                "{} and {}",
                text(acquired),
                text(&held)
            );
        }
    }
}
