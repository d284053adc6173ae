//! The task that carries out one in-flight request: it sends the HTTP requests, parses the response, stores the token
//! and completes the request for its waiters. [`lookup`](super::lookup) decides when a task starts and which callers
//! share it.
//!
//! Over 300 lines, because the steps of a request are read from top to bottom.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::client::TokenClient;
use super::context::AcquisitionContext;
use super::in_flight::{Completion, InFlightRequest};
use super::outcome::AcquisitionResult;
use super::presence::Presence;
use super::running_tasks::RunningTask;
use super::state::State;
use super::trigger::AcquisitionTrigger;
use crate::error::{Code, Error};
use crate::http::retry_loop::{AttemptOutcome, IdentityNotFoundRetry, RetryLoop};
use crate::http::timer::timeout_at;
use crate::http::{Request, Response};
use crate::log::Level;
use crate::source::{TokenResponse, is_identity_missing};
use crate::token::{Timestamp, Token};

/// How long the waiters of a fetched token wait for it to be persisted.
const PERSIST_WAIT: Duration = Duration::from_secs(1);

/// Carries out an in-flight request, and completes it in every case, also after a panic.
pub(super) struct AcquisitionTask {
    pub(super) client: Arc<TokenClient>,
    pub(super) in_flight: Arc<InFlightRequest>,
    pub(super) context: AcquisitionContext,
    /// The result of the probe, if one was sent.
    pub(super) presence: OnceLock<Presence>,
    /// The last field, so that the task counts as running until everything else of it has ended.
    pub(super) _running: RunningTask,
}

/// A fetched token.
pub(super) struct FetchedToken {
    pub(super) token: Arc<Token>,
    /// Whether the expiry is known.
    pub(super) cacheable: bool,
    /// The time at which the token was persisted, if it comes from the persistent cache.
    pub(super) saved_at: Option<Timestamp>,
}

/// The reason for which an acquisition ended without a token.
pub(super) enum Stop {
    /// The acquisition failed.
    Failed(Error),
    /// The last caller left, so no further request is sent.
    Unattended,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The change to the persistent cache that follows a change to the memory cache.
pub(super) enum PersistentUpdate {
    /// Writes the token.
    Store(Arc<Token>),
    /// Deletes the record.
    Delete,
}

impl FetchedToken {
    /// Creates a token that comes from the persistent cache.
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
        let mut acquiring = Box::pin(self.acquire());
        let (fetched, entry) = loop {
            match timeout_at(self.in_flight.deadline.instant(), acquiring.as_mut()).await {
                Some(Ok(fetched)) => break fetched,
                Some(Err(Stop::Failed(error))) => return self.finish_with_error(error),
                Some(Err(Stop::Unattended))
                    if self.finish_if(|in_flight| in_flight.waiters.is_abandoned()) =>
                {
                    return self.expire_if_no_waiters();
                }
                // A caller joined before the request was ended.
                Some(Err(Stop::Unattended)) => acquiring.set(self.acquire()),
                None if self.finish_if(|in_flight| in_flight.deadline.instant() <= Instant::now()) => {
                    self.report_outcome(&Err(self.timeout_error()));
                    return self.in_flight.complete(Completion::TimedOut);
                }
                None => {}
            }
        };
        let (acquired, update) = self.store(fetched);
        if let (Some(entry), Some(update)) = (entry, update) {
            let left = acquired
                .token
                .expires_on
                .saturating_duration_since(self.client.platform.clock.now());
            self.in_flight.set_token(acquired.clone());
            let mut persisting = Box::pin(self.persist(update, entry));
            let is_persisted =
                left > 2 * PERSIST_WAIT && timeout(PERSIST_WAIT, persisting.as_mut()).await.is_ok();
            self.finish(Ok(acquired));
            if !is_persisted {
                persisting.await;
            }
        } else {
            self.finish(Ok(acquired));
        }
    }

    /// Ends the request if the condition holds. Both happen under the lock, so that no caller joins in between.
    fn finish_if(&self, condition: impl FnOnce(&InFlightRequest) -> bool) -> bool {
        let mut state = self.client.lock();
        let is_finished = condition(&self.in_flight);
        if is_finished {
            state.remove(&self.context.key, &self.in_flight);
            // A refresh that sent no request has not failed.
            if self.in_flight.stats.attempts() > 0 {
                self.record_refresh_failure(&mut state);
            }
        }
        is_finished
    }

    /// Completes a request whose last caller has left, and logs that it ended.
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
        let total = self.context.application.options.timeouts.total;
        self.in_flight
            .error_context
            .timed_out(total, &self.in_flight.stats)
    }

    /// Requests a token from the source, with retries. Sends a probe first if the source may not exist.
    pub(super) async fn fetch_token(&self) -> Result<FetchedToken, Stop> {
        let AcquisitionContext {
            source, application, ..
        } = &self.context;
        let options = &application.options;
        let error_context = &self.in_flight.error_context;
        // If the callers have already left, no probe is sent and no file is read.
        if self.in_flight.waiters.is_abandoned() {
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
        let transport = application
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
            identity_not_found: self.context.key.identity_not_found_timeout.map(|window| {
                IdentityNotFoundRetry {
                    window,
                    is_missing: is_identity_missing,
                }
            }),
            platform: &self.client.platform,
            stats: &self.in_flight.stats,
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

    /// Sends a request with retries, and logs the warnings of the transport.
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

    /// Parses the token of a successful response.
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

    /// Creates the error for the last attempt of a retry loop.
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

    /// Returns whether the token of this request may still be cached.
    pub(super) fn may_store(&self, state: &State) -> bool {
        self.in_flight.epoch == state.epoch && !self.in_flight.superseded.load(Ordering::Relaxed)
    }

    /// Completes the request for its waiters.
    fn finish(&self, outcome: AcquisitionResult) {
        self.report_outcome(&outcome);
        self.in_flight.complete(Completion::Finished(outcome));
    }

    /// Completes the request with an error.
    fn finish_with_error(&self, error: Error) {
        let mut state = self.client.lock();
        state.remove(&self.context.key, &self.in_flight);
        self.record_refresh_failure(&mut state);
        drop(state);
        self.finish(Err(error));
    }

    /// Delays the next background refresh, if this request is one.
    fn record_refresh_failure(&self, state: &mut State) {
        if self.in_flight.epoch == state.epoch
            && self.in_flight.trigger == AcquisitionTrigger::BackgroundRefresh
        {
            state
                .cache
                .record_refresh_failure(&self.context.key.cache_key, self.wall_clocks());
        }
    }
}

impl Drop for AcquisitionTask {
    fn drop(&mut self) {
        // Only a panic reaches this point without a completion. It is a bug, but the waiters must not hang.
        if !self.in_flight.is_complete() {
            self.finish_with_error(Error::new(
                Code::FailedResponse,
                "Internal error: an acquisition ended without an outcome.",
            ));
        }
    }
}
