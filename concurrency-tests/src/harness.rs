//! What the tests share: how schedules are drawn, and an engine that many threads call.

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

/// Schedules for each test and each way of drawing them, unless the variable `SCHEDULES` says how many.
const SCHEDULES: usize = 2_000;
/// They are the same at every run.
const SEED: u64 = 0x5eed;
/// Most races need one or two changes at the right place; this way of drawing looks for such.
const CHANGES: usize = 3;
/// shuttle's own stacks are too small for the chain of futures of an unoptimised build.
const STACK: usize = 256 * 1_024;

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how long")]
pub(crate) fn under_every_schedule(test: fn()) {
    let asked_for = std::env::var("SCHEDULES")
        .ok()
        .and_then(|count| count.parse().ok());
    let count = asked_for.unwrap_or(SCHEDULES);
    let mut config = Config::new();
    config.stack_size = STACK;
    let random = RandomScheduler::new_from_seed(SEED, count);
    Runner::new(random, config.clone()).run(test);
    let few_changes = PctScheduler::new_from_seed(SEED, CHANGES, count);
    Runner::new(few_changes, config).run(test);
}

/// An engine that many threads call.
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
            // As in the binding, the wait is a task of its own, which may start late.
            Acquisition::Pending(waiter) => {
                let waiting = tokio::spawn(waiter.wait());
                shuttle::future::block_on(waiting).expect("no panic")
            }
        }
    }

    /// A thread that asks once.
    pub(crate) fn caller(&self, cache_policy: CachePolicy) -> JoinHandle<AcquisitionResult> {
        let harness = self.clone();
        thread::spawn(move || harness.outcome(cache_policy))
    }

    /// What the cache holds.
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

/// The number of the request that brought a token.
pub(crate) fn nth(acquired: &AcquiredToken) -> usize {
    text(acquired)[1..].parse().expect("t and a number")
}

/// A remembered token of the present generation is the one that the cache holds.
pub(crate) fn assert_memo_is_right(harness: &Harness, remembered: &[AcquiredToken]) {
    let held = harness.held().expect("a token is held");
    let generation = harness.client.generation();
    for acquired in remembered {
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
