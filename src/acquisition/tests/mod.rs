//! Tests of the token client from a caller's point of view: Tokio's time is paused, the wall clock can be set, and a fake
//! transport follows a script.

mod cache_keys;
mod claims;
mod clock_ahead;
mod clock_changes;
mod clock_changes_refresh;
mod coalescing;
mod concurrency_limits;
mod credential_unavailable;
mod failures;
mod flush;
mod force_refresh_and_claims;
mod hung_files;
mod imds;
mod imds_slow;
mod long_responses;
mod named_resources;
mod near_expiry;
mod persistent_cache;
mod persistent_cache_slow_store;
mod probe;
mod properties;
mod refresh_lifecycle;
mod strategies;
mod timeouts;
mod unattended;

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, advance, sleep};

use super::outcome::{AcquiredToken, AcquisitionResult};
use super::waiter::Waiter;
use super::*;
use crate::error::{Code, Error};
use crate::http::{Transport, TransportErrorKind};
use crate::log::Level;
use crate::metadata::CacheRefreshReason;
use crate::options::RawApplicationOptions;
use crate::options::request::{CachePolicy, TokenRequest};
use crate::platform::{Clock as _, Environment, variable as v};
use crate::source::SourceName;
use crate::test_support::{
    self, FakeClock, FakeEntry, FakeFiles, FakeOutcome, FakeResponse, FakeTransport, environment, options,
    resource,
};
use crate::token::CallerClock;

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

fn runtime_handle() -> io::Result<Handle> {
    if NO_THREADS.get() {
        return Err(io::Error::other("no threads left"));
    }
    Handle::try_current().map_err(io::Error::other)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets everything run that does not wait for a timer.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// A token client with a fake clock, fake files and a fake transport.
struct Harness {
    client: Arc<TokenClient>,
    clock: Arc<FakeClock>,
    files: Arc<FakeFiles>,
    transport: Arc<FakeTransport>,
}

impl Harness {
    fn with_transport(transport: Arc<FakeTransport>) -> Self {
        let (clock, files) = (FakeClock::new(), Arc::new(FakeFiles::default()));
        let client = TokenClient::new(
            test_support::platform(&clock, &files),
            transport.clone(),
            runtime_handle,
        );
        Self {
            client,
            clock,
            files,
            transport,
        }
    }

    /// Returns the tokens `t0`, `t1`, …, which are valid for `lifetime` seconds.
    fn always_granting(lifetime: u64) -> Self {
        Self::with_transport(FakeTransport::always_granting(lifetime))
    }

    fn scripted(
        script: impl Fn(usize, &crate::http::Request) -> FakeOutcome + Send + Sync + 'static,
    ) -> Self {
        Self::with_transport(FakeTransport::scripted(script))
    }

    fn call(&self) -> Call {
        Call {
            client: self.client.clone(),
            clock: self.clock.clone(),
            ahead: (0, 0),
            application: ApplicationContext::new(options(|_| {})),
            env: Environment::default(),
            request: TokenRequest {
                resource: resource("https://vault.azure.net"),
                cache_policy: CachePolicy::UseCache,
                claims: None,
                timeout: None,
                correlation_id: "call-1".into(),
                tenant: None,
                enable_cae: false,
                identity_not_found_timeout: None,
                is_credential_call: false,
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
    client: Arc<TokenClient>,
    application: ApplicationContext,
    env: Environment,
    request: TokenRequest,
    clock: Arc<FakeClock>,
    /// How far the caller's clock is ahead of the system's, in milliseconds, and the number of the caller's thread.
    ahead: (i64, u32),
}

impl Call {
    fn cache_policy(mut self, cache_policy: CachePolicy) -> Self {
        self.request.cache_policy = cache_policy;
        self
    }

    /// Passes the claims of a claims challenge.
    fn claims(mut self, claims: &str) -> Self {
        self.request.claims = Some(claims.to_owned());
        self.cache_policy(CachePolicy::ReplaceRefused)
    }

    fn within(mut self, total: Duration) -> Self {
        self.request.timeout = Some(total);
        self
    }

    fn set(mut self, change: impl FnOnce(&mut RawApplicationOptions)) -> Self {
        self.application = ApplicationContext::new(options(change));
        self
    }

    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.env = environment(variables);
        self
    }

    fn with_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.application = self.application.with_transport(transport);
        self
    }

    fn acquire(self) -> Result<Acquisition, Error> {
        let (ahead, thread) = self.ahead;
        let now = self.clock.now().with_offset(ahead);
        self.client.acquire(
            &self.application,
            &self.request,
            &self.env,
            CallerClock { now, thread },
        )
    }

    /// Returns a token that the cache serves without waiting.
    fn acquired(self) -> AcquiredToken {
        match self.acquire() {
            Ok(Acquisition::Ready(acquired)) => acquired,
            Ok(Acquisition::Pending(_)) => panic!("the caller must wait"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the waiter of a call that the cache does not serve.
    fn waiter(self) -> Waiter {
        match self.acquire() {
            Ok(Acquisition::Pending(waiter)) => waiter,
            Ok(Acquisition::Ready(acquired)) => panic!("served {} from the cache", text(&acquired)),
            Err(error) => panic!("{error}"),
        }
    }

    async fn outcome(self) -> AcquisitionResult {
        match self.acquire()? {
            Acquisition::Ready(acquired) => Ok(acquired),
            Acquisition::Pending(waiter) => waiter.wait().await,
        }
    }

    async fn token(self) -> String {
        self.outcome()
            .await
            .map(|acquired| text(&acquired))
            .expect("a token")
    }

    async fn error(self) -> Error {
        self.outcome().await.expect_err("an error")
    }
}

fn text(acquired: &AcquiredToken) -> String {
    acquired.token.secret.expose_secret().to_owned()
}

/// Waits for all waiters, and returns each one's token or error code.
async fn all(waiters: Vec<Waiter>) -> Vec<String> {
    let tasks: Vec<_> = waiters
        .into_iter()
        .map(|waiter| tokio::spawn(waiter.wait()))
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(match task.await.expect("no panic") {
            Ok(acquired) => text(&acquired),
            Err(error) => error.code().as_str().to_owned(),
        });
    }
    results
}
