//! The use case: validate, look into the cache, ask the source, store what it brings.
//!
//! The [`TokenClient`] holds what the applications of a process share: the cache and the flights under
//! one lock, so that "look up, join or start" and "store, remove" cannot be torn apart, and the
//! transport with the gates of its endpoints. It knows nothing of Node and reads nothing of the
//! process: every call brings its environment along.

mod capabilities;
mod dating;
pub mod in_flight;
mod long_responses;
mod persistent_lookup;
mod presence;
pub mod probe;
mod reporting;
mod resource_check;
mod source_files;
mod state;
mod task;
mod trigger;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use self::capabilities::with_cae_capability;
use self::probe::Presence;
use self::resource_check::ResourceAliases;
use self::state::State;
use self::task::AcquisitionTask;
use self::trigger::{acquisition_trigger, cache_refresh_reason};
use crate::acquisition::in_flight::{
    AcquiredToken, AcquisitionTrigger, CoalescingKey, InFlightRequest, Waiter,
};
use crate::cache::{CacheKey, Lookup};
use crate::error::{Cause, Code, Error};
use crate::http::endpoint_limiter::EndpointLimiters;
use crate::http::tls::ProcessRoots;
use crate::http::{Transport, local_error};
use crate::metadata::{CacheRefreshReason, Metadata};
use crate::options::ApplicationOptions;
use crate::options::request::{CachePolicy, TokenRequest};
use crate::platform::{CallerClock, Environment, Platform, WallClocks};
use crate::source::{self, ErrorContext, Source, SourceName, TokenQuery};
use crate::token::{MAX_REFRESH_JITTER, Timestamp, Token};

/// Where flights run: asked when the first one starts.
pub type RuntimeHandleFn = fn() -> io::Result<Handle>;

/// What a call of [`TokenClient::acquire`] leads to.
pub enum Acquisition {
    /// A token from the cache, at once.
    Ready(AcquiredToken),
    /// Somebody must wait.
    Pending(Waiter),
}

/// When the last probe ended, and how.
type LastProbe = tokio::sync::Mutex<Option<(Instant, Result<Presence, Error>)>>;

/// What the applications of one process share.
pub struct TokenClient {
    platform: Platform,
    native_transport: Arc<dyn Transport>,
    endpoint_limiters: EndpointLimiters,
    runtime_handle: RuntimeHandleFn,
    jitter_hasher: RandomState,
    generation: AtomicU32,
    /// Whether IMDS, or a stand-in for it, has ever answered at its default address.
    imds_has_responded: AtomicBool,
    /// Until when a probe of it without a response is not followed by a token request.
    imds_silent_until: Mutex<Option<Instant>>,
    resource_aliases: ResourceAliases,
    /// The last probe of it, for each transport; its lock is held while one is under way.
    probes: Mutex<HashMap<usize, Arc<LastProbe>>>,
    state: Mutex<State>,
}

/// What one caller brings to a flight.
struct CallerOptions {
    cache_policy: CachePolicy,
    tenant: Option<String>,
    total_timeout: Duration,
}

/// Everything that a flight goes by.
struct AcquisitionContext {
    source: Arc<dyn Source>,
    query: TokenQuery,
    options: ApplicationOptions,
    /// What vouches for an https endpoint.
    roots: ProcessRoots,
    key: CoalescingKey,
    /// The token that was cached before: nothing that the endpoint says of it is repeated.
    previous_token: Option<Arc<Token>>,
    /// When it was made.
    started_at: Timestamp,
    /// When it was made, by the clock of the caller, too.
    called_at: WallClocks,
    /// A refresh behind a caller keeps its place to its end.
    background_refresh_permit: Option<OwnedSemaphorePermit>,
}

impl TokenClient {
    /// An engine with nothing cached and nothing under way.
    pub fn new(platform: Platform, native: Arc<dyn Transport>, runtime_handle: RuntimeHandleFn) -> Arc<Self> {
        Arc::new(Self {
            endpoint_limiters: EndpointLimiters::new(platform.clock.clone()),
            platform,
            native_transport: native,
            runtime_handle,
            jitter_hasher: RandomState::new(),
            generation: AtomicU32::new(0),
            imds_has_responded: AtomicBool::new(false),
            imds_silent_until: Mutex::default(),
            resource_aliases: ResourceAliases::default(),
            probes: Mutex::default(),
            state: Mutex::default(),
        })
    }

    /// The machine that it works on.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// A token from the cache, or a place among those who wait for one.
    pub fn acquire(
        self: &Arc<Self>,
        options: &ApplicationOptions,
        request: TokenRequest,
        env: &Environment,
        caller: CallerClock,
    ) -> Result<Acquisition, Error> {
        let source = source::create(env, options, &self.platform)?;
        let total = request.timeout.unwrap_or(options.timeouts.total);
        let caller_options = CallerOptions {
            cache_policy: request.cache_policy,
            tenant: request.tenant.clone(),
            total_timeout: total,
        };
        let context = self.prepare_context(
            source,
            options,
            request,
            ProcessRoots::from_environment(env),
            caller,
        )?;
        let mut departure = None;
        let acquired = self.lookup_or_start(caller_options, context, &mut departure);
        // Outside of the lock: a runtime that refuses the flight ends it on the spot.
        if let Some(ReadyTask { runtime, task }) = departure {
            runtime.spawn(task.run());
        }
        acquired
    }

    /// Looks the token up, joins a flight or makes one ready, all under one lock.
    fn lookup_or_start(
        self: &Arc<Self>,
        CallerOptions {
            cache_policy,
            tenant,
            total_timeout: total,
        }: CallerOptions,
        mut context: AcquisitionContext,
        departure: &mut Option<ReadyTask>,
    ) -> Result<Acquisition, Error> {
        let mut state = self.lock();
        let now = context.called_at.when(self.platform.clock.now());
        let found = state.lookup(&context.key.cache_key, now);
        context.previous_token = found.token().cloned();
        let error_context = ErrorContext::new(&*context.source);
        let cached = |stored, reason| {
            let metadata = Metadata::from_cache(reason, error_context.endpoint().to_owned());
            let acquired = AcquiredToken::from_cache(stored, self.generation(), now, metadata);
            acquired.check_tenant(tenant.as_deref(), &error_context)?;
            Ok(acquired)
        };
        let refresh_reason = cache_refresh_reason(cache_policy, &found);
        let reason = acquisition_trigger(cache_policy, &found, &*context.source);
        let fallback = match (cache_policy, found) {
            (CachePolicy::UseCache, Lookup::Fresh(stored)) => {
                return cached(stored, CacheRefreshReason::NotApplicable).map(Acquisition::Ready);
            }
            (CachePolicy::UseCache, Lookup::StaleWhileRevalidate(stored)) => {
                // The caller is served: its own timeout is not the refresh's.
                let total = context.options.timeouts.total;
                *departure = self.start_background_refresh(&mut state, context, total);
                return cached(stored, refresh_reason).map(Acquisition::Ready);
            }
            (CachePolicy::UseCache, Lookup::NearExpiry(stored)) => Some(cached(stored, refresh_reason)?),
            _ => None,
        };
        if let AcquisitionTrigger::ClaimsChallenge(hash) = &reason {
            context.query.refused_token_hash.clone_from(hash);
        }
        let in_flight = match state.find_shareable(&context.key, &reason, context.called_at) {
            Some(in_flight) => {
                // A pause that is too long for this caller is no reason to keep them waiting.
                let limiter = self
                    .endpoint_limiters
                    .limiter(&context.source.endpoint().with_query(&[]));
                if let Some(pause) = limiter.blocked_for().filter(|pause| *pause > total)
                    && in_flight.stats.is_paused()
                {
                    let error = error_context.retry_after_too_long(pause, in_flight.stats.attempts());
                    return fallback.map(Acquisition::Ready).ok_or(error);
                }
                in_flight
            }
            None => match self.create_task(&mut state, (reason, refresh_reason), context, total) {
                Ok(ready) => departure.insert(ready).task.in_flight.clone(),
                Err(error) => return fallback.map(Acquisition::Ready).ok_or(error),
            },
        };
        let clocks = (self.platform.clock.clone(), now);
        Ok(Acquisition::Pending(
            in_flight.add_waiter(total, fallback, tenant, clocks),
        ))
    }

    /// Which host this is, without asking it.
    pub fn detect_source(&self, options: &ApplicationOptions, env: &Environment) -> SourceName {
        source::detect_name(env, options, &self.platform)
    }

    /// Whether the environment has a source that the application may use, without asking it.
    pub fn has_source(&self, options: &ApplicationOptions, env: &Environment) -> bool {
        source::is_any_detected(env, options, &self.platform)
    }

    /// Forgets every token. Flights under way still answer their waiters, but store nothing.
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

    /// Removes the tokens of every endpoint on this origin. As with `clear`, requests in flight still answer their
    /// waiters, but their tokens are not stored. Other endpoints lose nothing.
    pub fn clear_origin(&self, origin: &str) {
        let now = self.platform.clock.now();
        self.lock().clear_origin(origin, now);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever a token that somebody remembers may no longer be the cached one.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    fn prepare_context(
        &self,
        source: Arc<dyn Source>,
        options: &ApplicationOptions,
        request: TokenRequest,
        roots: ProcessRoots,
        caller: CallerClock,
    ) -> Result<AcquisitionContext, Error> {
        let began = self.platform.clock.now();
        let called_at = WallClocks {
            system: began,
            caller: caller.now,
        };
        // What a test does with its clock stays in its thread, and in memory.
        let thread = called_at.disagree().then_some(caller.thread);
        let mut options = options.clone();
        if thread.is_some() {
            options.persistent_cache = None;
        }
        let capabilities = if request.enable_cae {
            Some(with_cae_capability(options.capabilities.as_deref()))
        } else {
            options.capabilities.clone()
        };
        let query = TokenQuery {
            resource: request.resource,
            identity: options.identity.clone(),
            capabilities,
            claims: request.claims,
            refused_token_hash: None,
            correlation_id: request.correlation_id,
        };
        let claims = source
            .claims_parameter(&query)
            .map_err(|error| error.map_details(|details| details.source = Some(source.name())))?;
        let key = CoalescingKey {
            cache_key: CacheKey::new(&*source, &query).for_thread(thread),
            claims,
            transport: options.transport.as_ref().unwrap_or(&self.native_transport).id(),
            disable_internal_retries: options.disable_internal_retries,
            retry_options: options.retry_options,
            identity_not_found_timeout: request.identity_not_found_timeout,
            persistent_store: options
                .persistent_cache
                .as_ref()
                .map(|persistent_cache| persistent_cache.store.id().to_owned()),
            needs_probe: request.is_credential_call && source.needs_probe() && !self.imds_has_responded(),
        };
        Ok(AcquisitionContext {
            source,
            query,
            options,
            roots,
            key,
            previous_token: None,
            started_at: began,
            called_at,
            background_refresh_permit: None,
        })
    }

    /// A refresh, if none is under way and its endpoint is not busy with others.
    fn start_background_refresh(
        self: &Arc<Self>,
        state: &mut State,
        mut context: AcquisitionContext,
        total: Duration,
    ) -> Option<ReadyTask> {
        if state
            .find_shareable(
                &context.key,
                &AcquisitionTrigger::BackgroundRefresh,
                context.called_at,
            )
            .is_some()
        {
            return None;
        }
        context.background_refresh_permit = Some(
            self.endpoint_limiters
                .limiter(&context.source.endpoint().with_query(&[]))
                .try_acquire_refresh_permit()?,
        );
        // Without a thread to run it there is no refresh; the token at hand is valid.
        let reason = (
            AcquisitionTrigger::BackgroundRefresh,
            CacheRefreshReason::ProactivelyRefreshed,
        );
        self.create_task(state, reason, context, total).ok()
    }

    /// A flight that others can join from now on; the caller lets it go when the lock is open.
    fn create_task(
        self: &Arc<Self>,
        state: &mut State,
        reason: (AcquisitionTrigger, CacheRefreshReason),
        context: AcquisitionContext,
        total: Duration,
    ) -> Result<ReadyTask, Error> {
        let runtime = (self.runtime_handle)().map_err(|error| {
            let message = format!("The network thread could not be started ({error}).");
            Error::new(Code::NetworkUnavailable, message).map_details(|details| {
                details.retryable = true;
                details.cause = Some(Cause {
                    code: local_error::code(&error),
                    message: error.to_string(),
                });
            })
        })?;
        state.last_sequence += 1;
        let error_context =
            ErrorContext::new(&*context.source).with_identity(context.source.identity_id(&context.query));
        let in_background = context.background_refresh_permit.is_some();
        let in_flight = InFlightRequest::new(
            state.last_sequence,
            state.epoch,
            reason,
            total,
            in_background,
            error_context,
            context.called_at,
        );
        let flights = state.in_flight.entry(context.key.clone()).or_default();
        flights.push(in_flight.clone());
        Ok(ReadyTask {
            runtime,
            task: AcquisitionTask {
                client: self.clone(),
                in_flight,
                context,
                presence: OnceLock::new(),
            },
        })
    }

    fn refresh_jitter(&self, key: &CacheKey) -> Duration {
        let high = u32::try_from(self.jitter_hasher.hash_one(key) >> 32).unwrap_or_default();
        MAX_REFRESH_JITTER.mul_f64(f64::from(high) / f64::from(u32::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flight that is about to leave.
struct ReadyTask {
    runtime: Handle,
    task: AcquisitionTask,
}

#[cfg(test)]
mod tests;
