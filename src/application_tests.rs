//! The engine as its callers see it: paused time, a wall clock that can leap, a network that is played.

#[path = "application_tests/ages.rs"]
mod ages;
#[path = "application_tests/claims.rs"]
mod claims;
#[path = "application_tests/clock_ahead.rs"]
mod clock_ahead;
#[path = "application_tests/clocks.rs"]
mod clocks;
#[path = "application_tests/clocks_ages.rs"]
mod clocks_ages;
#[path = "application_tests/failures.rs"]
mod failures;
#[path = "application_tests/flights.rs"]
mod flights;
#[path = "application_tests/happenings.rs"]
mod happenings;
#[path = "application_tests/hung_files.rs"]
mod hung_files;
#[path = "application_tests/imds.rs"]
mod imds;
#[path = "application_tests/imds_slow.rs"]
mod imds_slow;
#[path = "application_tests/keys.rs"]
mod keys;
#[path = "application_tests/limits.rs"]
mod limits;
#[path = "application_tests/long_responses.rs"]
mod long_responses;
#[path = "application_tests/named_resources.rs"]
mod named_resources;
#[path = "application_tests/nearly_expired.rs"]
mod nearly_expired;
#[path = "application_tests/probe.rs"]
mod probe;
#[path = "application_tests/properties.rs"]
mod properties;
#[path = "application_tests/replacing.rs"]
mod replacing;
#[path = "application_tests/shelves.rs"]
mod shelves;
#[path = "application_tests/shelves_late.rs"]
mod shelves_late;
#[path = "application_tests/unattended.rs"]
mod unattended;
#[path = "application_tests/unavailable.rs"]
mod unavailable;
#[path = "application_tests/waiters.rs"]
mod waiters;

use std::cell::Cell;

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::cache::flight::Outcome;
use crate::config::RawConfiguration;
use crate::fakes::{
    self, Entry, FakeClock, FakeFiles, FakeNet, Play, Reply, environment, resource, settings,
};
use crate::http::FaultKind;
use crate::log::Level;
use crate::machine::{Clock as _, variable as v};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const SERVICE_FABRIC: &[(&str, &str)] = &[
    (v::IDENTITY_ENDPOINT, "https://10.0.0.4:2377/token"),
    (v::IDENTITY_HEADER, "hush-header"),
    (
        v::IDENTITY_SERVER_THUMBPRINT,
        "a9993e364706816aba3e25717850c26c9cd0d89d",
    ),
];

thread_local! {
    static NO_THREADS: Cell<bool> = const { Cell::new(false) };
}

fn spawner() -> io::Result<Handle> {
    if NO_THREADS.get() {
        return Err(io::Error::other("no threads left"));
    }
    Handle::try_current().map_err(io::Error::other)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Long enough for whatever needs no time, too short for anything else.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// An engine, with everything around it in the test's hands.
struct Desk {
    engine: Arc<Engine>,
    clock: Arc<FakeClock>,
    files: Arc<FakeFiles>,
    net: Arc<FakeNet>,
}

impl Desk {
    fn with(net: Arc<FakeNet>) -> Self {
        let (clock, files) = (FakeClock::new(), Arc::new(FakeFiles::default()));
        let engine = Engine::new(fakes::machine(&clock, &files), net.clone(), spawner);
        Self {
            engine,
            clock,
            files,
            net,
        }
    }

    /// Hands out `t0`, `t1`, … that live for so many seconds.
    fn granting(lifetime: u64) -> Self {
        Self::with(FakeNet::granting(lifetime))
    }

    fn playing(script: impl Fn(usize, &crate::http::Request) -> Play + Send + Sync + 'static) -> Self {
        Self::with(FakeNet::playing(script))
    }

    fn call(&self) -> Call {
        Call {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            ahead: (0, 0),
            settings: settings(|_| {}),
            env: Environment::default(),
            request: TokenRequest {
                resource: resource("https://vault.azure.net"),
                wish: Wish::Any,
                claims: None,
                timeout: None,
                correlation_id: "call-1".into(),
                tenant: None,
                continuous_access: false,
                identity_wait: None,
                for_credential: false,
            },
        }
    }

    fn for_resource(&self, text: &str) -> Call {
        let mut call = self.call();
        call.request.resource = resource(text);
        call
    }
}

/// One call of `acquireToken`.
#[derive(Clone)]
struct Call {
    engine: Arc<Engine>,
    settings: Settings,
    env: Environment,
    request: TokenRequest,
    clock: Arc<FakeClock>,
    /// The caller's clock: so many milliseconds ahead of the system's, and the number of its thread.
    ahead: (i64, u32),
}

impl Call {
    fn wish(mut self, wish: Wish) -> Self {
        self.request.wish = wish;
        self
    }

    /// Answers a claims challenge.
    fn claims(mut self, claims: &str) -> Self {
        self.request.claims = Some(claims.to_owned());
        self.wish(Wish::Other)
    }

    fn within(mut self, total: Duration) -> Self {
        self.request.timeout = Some(total);
        self
    }

    fn set(mut self, change: impl FnOnce(&mut RawConfiguration)) -> Self {
        self.settings = settings(change);
        self
    }

    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.env = environment(variables);
        self
    }

    fn by(mut self, transport: Arc<dyn Transport>) -> Self {
        self.settings = self.settings.with_transport(transport);
        self
    }

    fn acquire(self) -> Result<Acquired, Error> {
        let (ahead, thread) = self.ahead;
        let now = self.clock.now().ahead(ahead);
        self.engine.acquire(
            &self.settings,
            self.request,
            &self.env,
            CallerClock { now, thread },
        )
    }

    /// What is served without anybody having to wait.
    fn served(self) -> Served {
        match self.acquire() {
            Ok(Acquired::Served(served)) => served,
            Ok(Acquired::Pending(_)) => panic!("somebody must wait"),
            Err(error) => panic!("{error}"),
        }
    }

    fn waiter(self) -> Waiter {
        match self.acquire() {
            Ok(Acquired::Pending(waiter)) => waiter,
            Ok(Acquired::Served(served)) => panic!("served {}", text(&served)),
            Err(error) => panic!("{error}"),
        }
    }

    async fn outcome(self) -> Outcome {
        match self.acquire()? {
            Acquired::Served(served) => Ok(served),
            Acquired::Pending(waiter) => waiter.wait().await,
        }
    }

    async fn token(self) -> String {
        self.outcome().await.map(|served| text(&served)).expect("a token")
    }

    async fn error(self) -> Error {
        self.outcome().await.expect_err("an error")
    }
}

fn text(served: &Served) -> String {
    served.token.secret.expose().to_owned()
}

/// Waits for all, and gives what each got: a token's text or an error's code.
async fn all(waiters: Vec<Waiter>) -> Vec<String> {
    let tasks: Vec<_> = waiters
        .into_iter()
        .map(|waiter| tokio::spawn(waiter.wait()))
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(match task.await.expect("no panic") {
            Ok(served) => text(&served),
            Err(error) => error.code().as_str().to_owned(),
        });
    }
    told
}
