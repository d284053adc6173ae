//! The token client: the state that all acquisitions of a process share.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::presence::Presence;
use super::resource_aliases::ResourceAliases;
use super::running_tasks::RunningTasks;
use super::state::State;
use crate::cache::CacheKey;
use crate::error::Error;
use crate::http::Transport;
use crate::http::endpoint_limiter::{EndpointLimiter, EndpointLimiters};
use crate::locking::lock;
use crate::options::ApplicationOptions;
use crate::platform::{Environment, Platform};
use crate::source::{self, Source, SourceName};
use crate::token::MAX_REFRESH_JITTER;

/// Returns the runtime that requests run on. It is called when a request starts.
pub type RuntimeHandleFn = fn() -> io::Result<Handle>;

/// The end and the result of the last probe. The lock is held during a probe.
type LastProbe = tokio::sync::Mutex<Option<(Instant, Result<Presence, Error>)>>;

/// What the applications of one process share.
pub struct TokenClient {
    pub(super) platform: Platform,
    pub(super) native_transport: Arc<dyn Transport>,
    pub(super) endpoint_limiters: EndpointLimiters,
    pub(super) runtime_handle: RuntimeHandleFn,
    jitter_hasher: RandomState,
    pub(super) generation: AtomicU32,
    /// Whether IMDS, or a stand-in for it, has responded at its default address.
    pub(super) imds_has_responded: AtomicBool,
    /// Until this time, a probe without a response is not followed by a token request.
    pub(super) imds_silent_until: Mutex<Option<Instant>>,
    pub(super) resource_aliases: ResourceAliases,
    /// The last probe of IMDS, by transport id.
    pub(super) probes: Mutex<HashMap<usize, Arc<LastProbe>>>,
    pub(super) running_tasks: Arc<RunningTasks>,
    state: Mutex<State>,
}

impl TokenClient {
    /// Creates a client with an empty cache.
    pub fn new(
        platform: Platform,
        native_transport: Arc<dyn Transport>,
        runtime_handle: RuntimeHandleFn,
    ) -> Arc<Self> {
        Arc::new(Self {
            endpoint_limiters: EndpointLimiters::new(platform.clock.clone()),
            platform,
            native_transport,
            runtime_handle,
            jitter_hasher: RandomState::new(),
            generation: AtomicU32::new(0),
            imds_has_responded: AtomicBool::new(false),
            imds_silent_until: Mutex::default(),
            resource_aliases: ResourceAliases::default(),
            probes: Mutex::default(),
            running_tasks: Arc::default(),
            state: Mutex::default(),
        })
    }

    /// Returns the clock, files and randomness that the client uses.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Returns the source that the environment selects. Sends nothing.
    pub fn detect_source(&self, options: &ApplicationOptions, env: &Environment) -> SourceName {
        source::detect_name(env, options, &self.platform)
    }

    /// Returns whether the environment has a source that the application may use. Sends nothing.
    pub fn has_source(&self, options: &ApplicationOptions, env: &Environment) -> bool {
        source::is_any_detected(env, options, &self.platform)
    }

    /// Removes every token. Requests in flight still serve their waiters, but their tokens are not cached.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.cache.clear();
        state.in_flight.clear();
        state.epoch += 1;
        state.cleared_at = Some(self.platform.clock.now());
        state.invalidated_at.clear();
        state.origins_cleared_at.clear();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Removes the tokens of every endpoint on this origin. As with `clear`, requests in flight still serve their waiters,
    /// but their tokens are not cached. The tokens of other endpoints are kept.
    pub fn clear_origin(&self, origin: &str) {
        let now = self.platform.clock.now();
        self.lock().clear_origin(origin, now);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns a number that changes whenever a token that a caller remembers may no longer be the cached one.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn limiter(&self, source: &dyn Source) -> Arc<EndpointLimiter> {
        self.endpoint_limiters.limiter(&source.endpoint().with_query(&[]))
    }

    /// Returns the delay of a token's refresh. It differs between processes, so that a fleet does not refresh at once.
    pub(super) fn refresh_jitter(&self, key: &CacheKey) -> Duration {
        let high = u32::try_from(self.jitter_hasher.hash_one(key) >> 32).unwrap_or_default();
        MAX_REFRESH_JITTER.mul_f64(f64::from(high) / f64::from(u32::MAX))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
