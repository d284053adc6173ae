//! [`TokenClient::acquire`]: looks a token up, joins an in-flight request or starts one, all under one lock.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::capabilities::with_cae_capability;
use super::client::TokenClient;
use super::context::{AcquisitionContext, ApplicationContext};
use super::in_flight::{CoalescingKey, InFlightRequest};
use super::outcome::AcquiredToken;
use super::state::State;
use super::task::AcquisitionTask;
use super::trigger::{AcquisitionTrigger, acquisition_trigger, cache_refresh_reason};
use super::waiter::Waiter;
use crate::cache::{CacheKey, Lookup};
use crate::error::{Cause, Code, Error};
use crate::http::local_error;
use crate::http::tls::ProcessRoots;
use crate::metadata::{CacheRefreshReason, Metadata};
use crate::options::request::{CachePolicy, TokenRequest};
use crate::platform::Environment;
use crate::source::{self, ErrorContext, Source, TokenQuery};
use crate::token::{CallerClock, WallClocks};

/// The outcome of [`TokenClient::acquire`].
pub enum Acquisition {
    /// A token from the cache.
    Ready(AcquiredToken),
    /// A request is in flight; the caller waits for it.
    Pending(Waiter),
}

/// A task that has not been spawned yet, although callers can already join its request.
struct ReadyTask {
    runtime: Handle,
    task: AcquisitionTask,
}

/// The part of a call that is needed to look a token up.
struct Call {
    source: Arc<dyn Source>,
    query: TokenQuery,
    cache_key: CacheKey,
    called_at: WallClocks,
}

impl TokenClient {
    /// Returns a token from the cache, or a waiter for a request.
    pub fn acquire(
        self: &Arc<Self>,
        application: &ApplicationContext,
        request: &TokenRequest,
        env: &Environment,
        caller: CallerClock,
    ) -> Result<Acquisition, Error> {
        let call = self.prepare_call(application, request, env, caller)?;
        let (acquisition, ready) = self.lookup_or_start(application, request, env, call)?;
        // Spawned without the lock: a runtime that is shutting down drops the task at once, which takes the lock.
        if let Some(ReadyTask { runtime, task }) = ready {
            runtime.spawn(task.run());
        }
        Ok(acquisition)
    }

    fn prepare_call(
        &self,
        application: &ApplicationContext,
        request: &TokenRequest,
        env: &Environment,
        caller: CallerClock,
    ) -> Result<Call, Error> {
        let options = &application.options;
        let source = source::create(env, options, &self.platform)?;
        let called_at = WallClocks {
            system: self.platform.clock.now(),
            caller: caller.now,
        };
        let capabilities = if request.enable_cae {
            Some(with_cae_capability(options.capabilities.as_deref()))
        } else {
            options.capabilities.clone()
        };
        let query = TokenQuery {
            resource: request.resource.clone(),
            identity: options.identity.clone(),
            capabilities,
            claims: request.claims.clone(),
            refused_token_hash: None,
            correlation_id: request.correlation_id.clone(),
        };
        // Under a replaced clock, tokens are visible to the caller's thread only.
        let thread = called_at.disagree().then_some(caller.thread);
        Ok(Call {
            cache_key: CacheKey::new(&*source, &query).for_thread(thread),
            source,
            query,
            called_at,
        })
    }

    /// Looks the token up, and joins or prepares a request if the cache has no token to return. Holds the lock
    /// throughout.
    fn lookup_or_start(
        self: &Arc<Self>,
        application: &ApplicationContext,
        request: &TokenRequest,
        env: &Environment,
        call: Call,
    ) -> Result<(Acquisition, Option<ReadyTask>), Error> {
        let (cache_policy, tenant) = (request.cache_policy, request.tenant.clone());
        let total_timeout = request.timeout.unwrap_or(application.options.timeouts.total);
        let mut state = self.lock();
        let now = call.called_at.when(self.platform.clock.now());
        let found = state.lookup(&call.cache_key, now);
        let error_context = ErrorContext::new(&*call.source);
        let cached = |stored, reason| {
            let metadata = Metadata::from_cache(reason, error_context.endpoint().to_owned());
            let acquired = AcquiredToken::from_cache(stored, self.generation(), now, metadata);
            acquired.check_tenant(tenant.as_deref(), &error_context)?;
            Ok(acquired)
        };
        let refresh_reason = cache_refresh_reason(cache_policy, &found);
        let trigger = acquisition_trigger(cache_policy, &found, &*call.source);
        let previous_token = found.token().cloned();
        let fallback = match (cache_policy, found) {
            (CachePolicy::UseCache, Lookup::Fresh(stored)) => {
                let acquired = cached(stored, CacheRefreshReason::NotApplicable)?;
                return Ok((Acquisition::Ready(acquired), None));
            }
            (CachePolicy::UseCache, Lookup::StaleWhileRevalidate(stored)) => {
                let acquired = cached(stored, refresh_reason)?;
                let mut context = self.prepare_context(application, request, env, call)?;
                context.previous_token = previous_token;
                let ready = self.start_background_refresh(&mut state, context);
                return Ok((Acquisition::Ready(acquired), ready));
            }
            (CachePolicy::UseCache, Lookup::NearExpiry(stored)) => Some(cached(stored, refresh_reason)?),
            _ => None,
        };
        let mut context = self.prepare_context(application, request, env, call)?;
        context.previous_token = previous_token;
        if let AcquisitionTrigger::ClaimsChallenge(hash) = &trigger {
            context.query.refused_token_hash.clone_from(hash);
        }
        let (in_flight, ready) = match state.find_shareable(&context.key, &trigger, context.called_at) {
            Some(in_flight) => {
                // A Retry-After that is longer than this caller's timeout is an error at once.
                if let Some(pause) = self
                    .limiter(&*context.source)
                    .blocked_for()
                    .filter(|pause| *pause > total_timeout)
                    && in_flight.stats.is_paused()
                {
                    let error = error_context.retry_after_too_long(pause, in_flight.stats.attempts());
                    let acquired = fallback.ok_or(error)?;
                    return Ok((Acquisition::Ready(acquired), None));
                }
                (in_flight, None)
            }
            None => match self.create_task(&mut state, (trigger, refresh_reason), context, total_timeout) {
                Ok(ready) => (ready.task.in_flight.clone(), Some(ready)),
                Err(error) => {
                    let acquired = fallback.ok_or(error)?;
                    return Ok((Acquisition::Ready(acquired), None));
                }
            },
        };
        let clocks = (self.platform.clock.clone(), now);
        let waiter = in_flight.add_waiter(total_timeout, fallback, tenant, clocks);
        Ok((Acquisition::Pending(waiter), ready))
    }

    fn prepare_context(
        &self,
        application: &ApplicationContext,
        request: &TokenRequest,
        env: &Environment,
        call: Call,
    ) -> Result<AcquisitionContext, Error> {
        let Call {
            source,
            query,
            cache_key,
            called_at,
        } = call;
        let mut application = application.clone();
        if cache_key.is_thread_local() {
            // The expiry of a token under a replaced clock means nothing to other processes.
            application.persistent_cache = None;
        }
        let options = &application.options;
        let claims = source
            .claims_parameter(&query)
            .map_err(|error| error.map_details(|details| details.source = Some(source.name())))?;
        let key = CoalescingKey {
            cache_key,
            claims,
            transport: application
                .transport
                .as_ref()
                .unwrap_or(&self.native_transport)
                .id(),
            disable_internal_retries: options.disable_internal_retries,
            retry_options: options.retry_options,
            identity_not_found_timeout: request.identity_not_found_timeout,
            persistent_store: application
                .persistent_cache
                .as_ref()
                .map(|persistent_cache| persistent_cache.store.id().to_owned()),
            needs_probe: request.is_credential_call && source.needs_probe() && !self.imds_has_responded(),
        };
        Ok(AcquisitionContext {
            source,
            query,
            application,
            roots: ProcessRoots::from_environment(env),
            key,
            previous_token: None,
            started_at: called_at.system,
            called_at,
            background_refresh_permit: None,
        })
    }

    /// Prepares a refresh in the background, unless one is in flight or the endpoint has reached its limit of refreshes.
    /// The refresh has the application's timeout, not the caller's, since the caller does not wait for it.
    fn start_background_refresh(
        self: &Arc<Self>,
        state: &mut State,
        mut context: AcquisitionContext,
    ) -> Option<ReadyTask> {
        let trigger = AcquisitionTrigger::BackgroundRefresh;
        if state
            .find_shareable(&context.key, &trigger, context.called_at)
            .is_some()
        {
            return None;
        }
        context.background_refresh_permit =
            Some(self.limiter(&*context.source).try_acquire_refresh_permit()?);
        let timeout = context.application.options.timeouts.total;
        // If the network thread cannot be started, the refresh is skipped: the cached token is still valid.
        let reason = (trigger, CacheRefreshReason::ProactivelyRefreshed);
        self.create_task(state, reason, context, timeout).ok()
    }

    /// Registers a request, which callers can join from now on, and creates its task.
    fn create_task(
        self: &Arc<Self>,
        state: &mut State,
        reason: (AcquisitionTrigger, CacheRefreshReason),
        context: AcquisitionContext,
        timeout: Duration,
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
        let in_flight = InFlightRequest::new(
            state.last_sequence,
            state.epoch,
            reason,
            timeout,
            context.background_refresh_permit.is_some(),
            ErrorContext::new(&*context.source).with_identity(context.source.identity_id(&context.query)),
            context.called_at,
        );
        state
            .in_flight
            .entry(context.key.clone())
            .or_default()
            .push(in_flight.clone());
        Ok(ReadyTask {
            runtime,
            task: AcquisitionTask {
                client: self.clone(),
                _running: self.running_tasks.start(in_flight.sequence),
                in_flight,
                context,
                presence: OnceLock::new(),
            },
        })
    }
}
