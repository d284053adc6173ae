//! One acquisition from its start to its end: requests a token, parses the response, stores the token, tells
//! the waiters. Who may join it and when it starts is decided in [`acquisition`](super).

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::probe::Presence;
use super::state::State;
use super::{AcquisitionContext, TokenClient};
use crate::acquisition::in_flight::{
    AcquiredToken, AcquisitionResult, AcquisitionTrigger, Completion, InFlightRequest,
};
use crate::error::{Code, Error};
use crate::http::retry_loop::{AttemptOutcome, IdentityNotFoundRetry, RetryLoop};
use crate::http::timer::timeout_at;
use crate::http::{Request, Response};
use crate::log::Level;
use crate::metadata::{Metadata, TokenSource};
use crate::source::{TokenResponse, is_identity_missing};
use crate::token::{Timestamp, Token};

/// A token that has come is not withheld for longer because it is being kept there.
const PERSIST_WAIT: Duration = Duration::from_secs(1);

/// Takes a flight to its end. However that comes, and be it by a panic, its waiters learn of it.
pub(super) struct AcquisitionTask {
    pub(super) client: Arc<TokenClient>,
    pub(super) in_flight: Arc<InFlightRequest>,
    pub(super) context: AcquisitionContext,
    /// What the probe showed, where there was one.
    pub(super) presence: OnceLock<Presence>,
}

/// What a flight brought.
pub(super) struct FetchedToken {
    pub(super) token: Arc<Token>,
    /// Whether its expiry is known.
    cacheable: bool,
    /// When it was kept outside of this process, if it was found there.
    saved_at: Option<Timestamp>,
}

/// Why a flight brings nothing.
pub(super) enum Stop {
    /// There is no token.
    Failed(Error),
    /// The last caller has left: nothing further is begun.
    Unattended,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What is left to do in the cache outside of this process, once the one inside has what came.
pub(super) enum PersistentUpdate {
    /// The token takes its place there.
    Store(Arc<Token>),
    /// The token cannot be kept; the one that is there is not wanted any more.
    Delete,
}

impl FetchedToken {
    /// A token that was found in the cache outside of this process.
    pub(super) fn from_persistent_cache(token: Arc<Token>, saved_at: Timestamp) -> Self {
        Self {
            token,
            cacheable: true,
            saved_at: Some(saved_at),
        }
    }
}

impl AcquisitionTask {
    pub(super) async fn run(self) {
        let mut retry_loop = Box::pin(self.acquire());
        let (brought, shelving) = loop {
            match timeout_at(self.in_flight.deadline.instant(), retry_loop.as_mut()).await {
                Some(Ok(brought)) => break brought,
                Some(Err(Stop::Failed(error))) => return self.finish_with_error(error),
                Some(Err(Stop::Unattended)) if self.finish_if(|in_flight| in_flight.waiters.have_left()) => {
                    return self.expire_if_no_waiters();
                }
                // A caller has come in the moment in which it would have ended.
                Some(Err(Stop::Unattended)) => retry_loop.set(self.acquire()),
                None if self.finish_if(|in_flight| in_flight.deadline.instant() <= Instant::now()) => {
                    self.report_outcome(&Err(self.timeout_error()));
                    return self.in_flight.complete(Completion::TimedOut);
                }
                None => {}
            }
        };
        let (acquired, keep) = self.store(brought);
        if let (Some(shelving), Some(keep)) = (shelving, keep) {
            let left = acquired
                .token
                .expires_on
                .saturating_duration_since(self.client.platform.clock.now());
            self.in_flight.set_token(acquired.clone());
            let mut keeping = Box::pin(self.persist(keep, shelving));
            let is_kept = left > 2 * PERSIST_WAIT && timeout(PERSIST_WAIT, keeping.as_mut()).await.is_ok();
            self.finish(Ok(acquired));
            if !is_kept {
                keeping.await;
            }
        } else {
            self.finish(Ok(acquired));
        }
    }

    /// Ends the flight if this holds of it, for want of waiters. Under the lock, so that no caller joins between the look
    /// and the end.
    fn finish_if(&self, holds: impl FnOnce(&InFlightRequest) -> bool) -> bool {
        let mut state = self.client.lock();
        let ends = holds(&self.in_flight);
        if ends {
            state.remove(&self.context.key, &self.in_flight);
            // What was not even tried has not failed.
            if self.in_flight.stats.attempts() > 0 {
                self.record_refresh_failure(&mut state);
            }
        }
        ends
    }

    /// Says that the last caller has left, where a reader may wonder why nothing further is sent.
    fn expire_if_no_waiters(&self) {
        if self.context.background_refresh_permit.is_some() {
            self.report_outcome(&Err(self.timeout_error()));
        } else {
            self.log(Level::Info, || {
                "no caller is waiting for this token any more; no further request is sent".to_owned()
            });
        }
        self.in_flight.complete(Completion::TimedOut);
    }

    fn timeout_error(&self) -> Error {
        let total = self.context.options.timeouts.total;
        self.in_flight
            .error_context
            .timed_out(total, &self.in_flight.stats)
    }

    /// Asks the source until it answers with a token or an error that no retry would better.
    pub(super) async fn fetch_token(&self) -> Result<FetchedToken, Stop> {
        let AcquisitionContext { source, options, .. } = &self.context;
        let (platform, error_context, progress) = (
            &self.client.platform,
            &self.in_flight.error_context,
            &self.in_flight.stats,
        );
        // Neither a probe is sent nor a file read for callers who have left.
        if self.in_flight.waiters.have_left() {
            return Err(Stop::Unattended);
        }
        error_context.add_secrets(
            self.context
                .previous_token
                .as_ref()
                .map(|token| token.secret.clone()),
        );
        self.probe_if_needed().await?;
        let request = self
            .first_request()
            .await
            .map_err(|error| error_context.with_source(error, 0))?;
        let limiter = self.client.endpoint_limiters.limiter(&request.url);
        let transport = options
            .transport
            .as_ref()
            .unwrap_or(&self.client.native_transport);
        let retry_loop = RetryLoop {
            transport: &**transport,
            limiter: &limiter,
            policy: (!options.disable_internal_retries).then(|| source.policy()),
            retry_options: options.retry_options,
            connect_timeout: options.timeouts.connect,
            request_timeout: options.timeouts.request,
            last_request_timeout: options.timeouts.last_request,
            deadline: &self.in_flight.deadline,
            waiters: &self.in_flight.waiters,
            identity_not_found: self.context.key.identity_not_found_timeout.map(|within| {
                IdentityNotFoundRetry {
                    window: within,
                    is_missing: is_identity_missing,
                }
            }),
            platform,
            stats: progress,
        };
        let (end, token_response) = self.run_checked(&retry_loop, request).await?;
        match end {
            AttemptOutcome::Response(mut response) => {
                response.keep_connection();
                Ok(self.parse_token_response(response, token_response).await?)
            }
            AttemptOutcome::Unattended => Err(Stop::Unattended),
            end => Err(Stop::Failed(self.handle_failure(end).await)),
        }
    }

    /// Sends a request until no retry would better its outcome, and tells what the transport has to tell of it.
    pub(super) async fn run_retry_loop(
        &self,
        retry_loop: &RetryLoop<'_>,
        request: &Request,
    ) -> AttemptOutcome {
        let challenge = |response: &Response| self.challenge_request(request, response);
        let mut end = retry_loop.run(request, &challenge, self).await;
        if let Some(warning) = request.notes.take_warning() {
            if let AttemptOutcome::TransportError(fault) = &mut end {
                fault.explain_tls(&warning);
            }
            self.log(Level::Warning, || warning);
        }
        end
    }

    /// The token of an answer.
    async fn parse_token_response(
        &self,
        mut response: Response,
        token_response: Option<TokenResponse>,
    ) -> Result<FetchedToken, Error> {
        let (error_context, attempts) = (&self.in_flight.error_context, self.in_flight.stats.attempts());
        let now = self.client.platform.clock.now();
        let granted = match token_response {
            Some(token_response) => self.parse_grant(&mut response, token_response, now).await,
            None => None,
        };
        let Some((token_response, grant)) = granted else {
            return Err(self.error_from_response(response).await);
        };
        self.context
            .source
            .verify_response(&self.context.query, &token_response)
            .map_err(|error| {
                error_context
                    .with_source(error, attempts)
                    .map_details(|details| details.status = Some(response.status))
            })?;
        if grant.cacheable && grant.token.expires_on <= now {
            return Err(error_context.unusable_response(
                "its token has already expired (is this host's clock right?)",
                &response,
                attempts,
            ));
        }
        if let Some(ahead) = grant.clock_ahead {
            self.log(Level::Warning, || {
                format!(
                    "this host's clock is {} s ahead of that of {}: the token's expires_on has passed by this clock, \
                     so expires_in is used",
                    ahead.as_secs(),
                    error_context.endpoint()
                )
            });
        }
        Ok(FetchedToken {
            token: Arc::new(grant.token),
            cacheable: grant.cacheable,
            saved_at: None,
        })
    }

    pub(super) async fn error_from_end(&self, end: AttemptOutcome) -> Error {
        let (error_context, attempts) = (&self.in_flight.error_context, self.in_flight.stats.attempts());
        match end {
            AttemptOutcome::Response(response) => self.error_from_response(response).await,
            AttemptOutcome::TransportError(fault) => {
                let retryable = self.context.source.policy().error_limit(fault.kind).is_some();
                let is_absent = self.had_no_response(&fault)
                    || self.client.is_foreign_error(&*self.context.source, &fault);
                error_context
                    .transport_error(&fault, attempts, retryable)
                    .map_details(|details| details.unavailable |= is_absent)
            }
            AttemptOutcome::BlockedByRetryAfter(pause) => error_context.retry_after_too_long(pause, attempts),
            AttemptOutcome::ChallengeFailed(error) => error_context.with_source(error, attempts),
            AttemptOutcome::Unattended => self.timeout_error(),
        }
    }

    /// Whether what it brings is still to be cached.
    pub(super) fn may_store(&self, state: &State) -> bool {
        self.in_flight.epoch == state.epoch && !self.in_flight.superseded.load(Ordering::Relaxed)
    }

    /// Tells the waiters how it ended.
    fn finish(&self, outcome: AcquisitionResult) {
        self.report_outcome(&outcome);
        self.in_flight.complete(Completion::Finished(outcome));
    }

    /// Nothing came.
    fn finish_with_error(&self, error: Error) {
        let mut state = self.client.lock();
        state.remove(&self.context.key, &self.in_flight);
        self.record_refresh_failure(&mut state);
        drop(state);
        self.finish(Err(error));
    }

    /// Puts the next refresh off, if this was one.
    fn record_refresh_failure(&self, state: &mut State) {
        if self.in_flight.epoch == state.epoch
            && self.in_flight.trigger == AcquisitionTrigger::BackgroundRefresh
        {
            state
                .cache
                .record_refresh_failure(&self.context.key.cache_key, self.wall_clocks());
        }
    }

    /// Stores what came. From now on nobody joins: whoever comes is answered from the cache.
    fn store(&self, brought: FetchedToken) -> (AcquiredToken, Option<PersistentUpdate>) {
        let mut state = self.client.lock();
        state.remove(&self.context.key, &self.in_flight);
        let key = &self.context.key.cache_key;
        let clocks = self.wall_clocks();
        let now = clocks.system;
        let is_late = brought
            .saved_at
            .is_some_and(|saved_at| state.is_stale_record(key, &brought.token, saved_at));
        if is_late && let Some(stored) = state.cache.lookup(key, clocks).cached_token() {
            let metadata = Metadata {
                token_source: Some(TokenSource::Cache),
                ..self.in_flight.metadata()
            };
            let acquired = AcquiredToken::from_cache(stored, self.client.generation(), clocks, metadata);
            return (acquired, None);
        }
        let acquired = self.uncached_result(&brought);
        let FetchedToken {
            token,
            cacheable,
            saved_at,
        } = brought;
        let (number, spread) = (self.in_flight.sequence, self.client.refresh_jitter(key));
        // What a caller did not want is not served again, even if its successor cannot be kept.
        let unwanted = matches!(
            self.in_flight.trigger,
            AcquisitionTrigger::ForceRefresh | AcquisitionTrigger::ClaimsChallenge(_)
        );
        if unwanted && self.in_flight.epoch == state.epoch {
            state.invalidate_before(key, self.context.started_at, now);
        }
        let stored = if cacheable && !is_late && self.may_store(&state) {
            let in_flight = saved_at.is_none().then_some(number);
            Some(
                state
                    .cache
                    .insert(key.clone(), token.clone(), in_flight, spread, now),
            )
        } else {
            None
        };
        let replaced = if let Some(stored) = stored {
            stored == Some(true)
        } else {
            self.record_refresh_failure(&mut state);
            if unwanted {
                state.mark_superseded(key, number);
            }
            unwanted && state.cache.remove(key, number)
        };
        // Whoever remembers the token that was replaced must look again, unless it was only ageing.
        if replaced
            && self.in_flight.trigger != AcquisitionTrigger::BackgroundRefresh
            && !key.is_thread_local()
        {
            self.client.generation.fetch_add(1, Ordering::Release);
        }
        let is_stored = stored.flatten().is_some();
        let acquired = AcquiredToken {
            fresh_until: (is_stored && !key.is_thread_local())
                .then(|| token.fresh_until(spread))
                .filter(|until| *until > now),
            generation: self.client.generation(),
            ..acquired
        };
        let keep = if saved_at.is_some() {
            None
        } else if is_stored {
            Some(PersistentUpdate::Store(token))
        } else {
            (unwanted && !cacheable).then_some(PersistentUpdate::Delete)
        };
        (acquired, keep)
    }

    /// What came, as it is served to somebody who must look again next time.
    pub(super) fn uncached_result(&self, brought: &FetchedToken) -> AcquiredToken {
        let from_cache = brought.saved_at.is_some();
        AcquiredToken {
            token: brought.token.clone(),
            from_cache,
            fresh_until: None,
            generation: self.client.generation(),
            metadata: Metadata {
                token_source: Some(if from_cache {
                    TokenSource::Cache
                } else {
                    TokenSource::IdentityProvider
                }),
                ..self.in_flight.metadata()
            },
        }
    }
}

impl Drop for AcquisitionTask {
    fn drop(&mut self) {
        // Reached without a landing only by a panic: a bug, but one that nobody may hang on.
        if !self.in_flight.is_complete() {
            self.finish_with_error(Error::new(
                Code::FailedResponse,
                "Internal error: an acquisition ended without an outcome.",
            ));
        }
    }
}
