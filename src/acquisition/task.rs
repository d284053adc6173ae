//! One flight from its start to its end: asks the source, reads the answer, stores the token, tells
//! the waiters. Who may join it and when it starts is decided in [`acquisition`](super).

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::probe::Presence;
use super::state::State;
use super::{Engine, Plan};
use crate::acquisition::in_flight::{Flight, Landing, Outcome, Reason, Served};
use crate::error::{Code, Error};
use crate::http::retry_loop::{Awaited, Chain, End};
use crate::http::timer::timeout_at;
use crate::http::{Request, Response};
use crate::log::Level;
use crate::metadata::{Metadata, TokenSource};
use crate::source::is_identity_missing;
use crate::token::{Timestamp, Token};

/// A token that has come is not withheld for longer because it is being kept there.
const KEEPING: Duration = Duration::from_secs(1);

/// Takes a flight to its end. However that comes, and be it by a panic, its waiters learn of it.
pub(super) struct Pilot {
    pub(super) engine: Arc<Engine>,
    pub(super) flight: Arc<Flight>,
    pub(super) plan: Plan,
    /// What the probe showed, where there was one.
    pub(super) presence: OnceLock<Presence>,
}

/// What a flight brought.
pub(super) struct Brought {
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
pub(super) enum Keep {
    /// The token takes its place there.
    Token(Arc<Token>),
    /// The token cannot be kept; the one that is there is not wanted any more.
    Nothing,
}

impl Brought {
    /// A token that was found in the cache outside of this process.
    pub(super) fn shelved(token: Arc<Token>, saved_at: Timestamp) -> Self {
        Self {
            token,
            cacheable: true,
            saved_at: Some(saved_at),
        }
    }
}

impl Pilot {
    pub(super) async fn fly(self) {
        let mut chain = Box::pin(self.chain());
        let (brought, shelving) = loop {
            match timeout_at(self.flight.deadline.at(), chain.as_mut()).await {
                Some(Ok(brought)) => break brought,
                Some(Err(Stop::Failed(error))) => return self.fail(error),
                Some(Err(Stop::Unattended)) if self.ends_if(|flight| flight.waiters.have_left()) => {
                    return self.end_without_waiters();
                }
                // A caller has come in the moment in which it would have ended.
                Some(Err(Stop::Unattended)) => chain.set(self.chain()),
                None if self.ends_if(|flight| flight.deadline.at() <= Instant::now()) => {
                    self.tell(&Err(self.out_of_time()));
                    return self.flight.land(Landing::OutOfTime);
                }
                None => {}
            }
        };
        let (served, keep) = self.store(brought);
        if let (Some(shelving), Some(keep)) = (shelving, keep) {
            let left = served.token.expires_on.since(self.engine.machine.clock.now());
            self.flight.arrived(served.clone());
            let mut keeping = Box::pin(self.keep(keep, shelving));
            let is_kept = left > 2 * KEEPING && timeout(KEEPING, keeping.as_mut()).await.is_ok();
            self.land(Ok(served));
            if !is_kept {
                keeping.await;
            }
        } else {
            self.land(Ok(served));
        }
    }

    /// Ends the flight if this holds of it, for want of waiters. Under the lock, so that no caller joins between the look
    /// and the end.
    fn ends_if(&self, holds: impl FnOnce(&Flight) -> bool) -> bool {
        let mut state = self.engine.lock();
        let ends = holds(&self.flight);
        if ends {
            state.remove(&self.plan.key, &self.flight);
            // What was not even tried has not failed.
            if self.flight.progress.attempts() > 0 {
                self.failed(&mut state);
            }
        }
        ends
    }

    /// Says that the last caller has left, where a reader may wonder why nothing further is sent.
    fn end_without_waiters(&self) {
        if self.plan.place.is_some() {
            self.tell(&Err(self.out_of_time()));
        } else {
            self.log(Level::Info, || {
                "no caller waits for this token any more: nothing further is sent".to_owned()
            });
        }
        self.flight.land(Landing::OutOfTime);
    }

    fn out_of_time(&self) -> Error {
        let total = self.plan.settings.timeouts.total;
        self.flight.report.out_of_time(total, &self.flight.progress)
    }

    /// Asks the source until it answers with a token or an error that no retry would better.
    pub(super) async fn ask(&self) -> Result<Brought, Stop> {
        let Plan { source, settings, .. } = &self.plan;
        let (machine, report, progress) = (&self.engine.machine, &self.flight.report, &self.flight.progress);
        // Neither a probe is sent nor a file read for callers who have left.
        if self.flight.waiters.have_left() {
            return Err(Stop::Unattended);
        }
        report.add_secrets(self.plan.earlier.as_ref().map(|token| token.secret.clone()));
        self.probe().await?;
        let request = self
            .first_request()
            .await
            .map_err(|error| report.signed(error, 0))?;
        let gate = self.engine.gates.gate(&request.url);
        let transport = settings.transport.as_ref().unwrap_or(&self.engine.native);
        let chain = Chain {
            transport: &**transport,
            gate: &gate,
            policy: (!settings.disable_internal_retries).then(|| source.policy()),
            retry_options: settings.retry_options,
            connect_timeout: settings.timeouts.connect,
            request_timeout: settings.timeouts.request,
            last_request_timeout: settings.timeouts.last_request,
            deadline: &self.flight.deadline,
            waiters: &self.flight.waiters,
            awaited: self.plan.key.identity_wait.map(|within| Awaited {
                within,
                is_missing: is_identity_missing,
            }),
            machine,
            progress,
        };
        let end = self.run_checked(&chain, request).await?;
        match end {
            End::Answer(mut response) => {
                response.keep_connection();
                Ok(self.read(&response)?)
            }
            End::Unattended => Err(Stop::Unattended),
            end => Err(Stop::Failed(self.failure(&end))),
        }
    }

    /// Sends a request until no retry would better its outcome, and tells what the transport has to tell of it.
    pub(super) async fn run(&self, chain: &Chain<'_>, request: &Request) -> End {
        let challenge = |response: &Response| self.challenge_request(request, response);
        let mut end = chain.run(request, &challenge, self).await;
        if let Some(warning) = request.notes.take_warning() {
            if let End::Fault(fault) = &mut end {
                fault.explain_tls(&warning);
            }
            self.log(Level::Warning, || warning);
        }
        end
    }

    /// The token of an answer.
    fn read(&self, response: &Response) -> Result<Brought, Error> {
        let (report, attempts) = (&self.flight.report, self.flight.progress.attempts());
        let now = self.engine.machine.clock.now();
        let Some((answer, grant)) = self.granted(response, now) else {
            return Err(self.refusal(response));
        };
        self.plan
            .source
            .confirm(&self.plan.ask, &answer)
            .map_err(|error| {
                report
                    .signed(error, attempts)
                    .with(|facts| facts.status = Some(response.status))
            })?;
        if grant.cacheable && grant.token.expires_on <= now {
            return Err(report.unusable(
                "its token has already expired (is this host's clock right?)",
                response,
                attempts,
            ));
        }
        if let Some(ahead) = grant.clock_ahead {
            self.log(Level::Warning, || {
                format!(
                    "this host's clock is {} s ahead of that of {}: the token's expires_on has passed by this clock, \
                     so expires_in is used",
                    ahead.as_secs(),
                    report.endpoint()
                )
            });
        }
        Ok(Brought {
            token: Arc::new(grant.token),
            cacheable: grant.cacheable,
            saved_at: None,
        })
    }

    pub(super) fn error(&self, end: &End) -> Error {
        let (report, attempts) = (&self.flight.report, self.flight.progress.attempts());
        match end {
            End::Answer(response) => self.refusal(response),
            End::Fault(fault) => {
                let retryable = self.plan.source.policy().fault(fault.kind).is_some();
                let is_absent =
                    self.is_silent(end) || self.engine.is_foreign_fault(&*self.plan.source, fault);
                report
                    .fault(fault, attempts, retryable)
                    .with(|facts| facts.unavailable |= is_absent)
            }
            End::Paused(pause) => report.paused(*pause, attempts),
            End::Stopped(error) => report.signed(error.clone(), attempts),
            End::Unattended => self.out_of_time(),
        }
    }

    /// Whether what it brings is still to be cached.
    pub(super) fn is_wanted(&self, state: &State) -> bool {
        self.flight.epoch == state.cleared && !self.flight.outdated.load(Ordering::Relaxed)
    }

    /// Tells the waiters how it ended.
    fn land(&self, outcome: Outcome) {
        self.tell(&outcome);
        self.flight.land(Landing::Ended(outcome));
    }

    /// Nothing came.
    fn fail(&self, error: Error) {
        let mut state = self.engine.lock();
        state.remove(&self.plan.key, &self.flight);
        self.failed(&mut state);
        drop(state);
        self.land(Err(error));
    }

    /// Puts the next refresh off, if this was one.
    fn failed(&self, state: &mut State) {
        if self.flight.epoch == state.cleared && self.flight.reason == Reason::Refresh {
            state.cache.failed(&self.plan.key.key, self.now());
        }
    }

    /// Stores what came. From now on nobody joins: whoever comes is answered from the cache.
    fn store(&self, brought: Brought) -> (Served, Option<Keep>) {
        let mut state = self.engine.lock();
        state.remove(&self.plan.key, &self.flight);
        let key = &self.plan.key.key;
        let clocks = self.now();
        let now = clocks.system;
        let is_late = brought
            .saved_at
            .is_some_and(|saved_at| state.is_late(key, &brought.token, saved_at));
        if is_late && let Some(stored) = state.cache.find(key, clocks).stored() {
            let metadata = Metadata {
                token_source: Some(TokenSource::Cache),
                ..self.flight.metadata()
            };
            let served = Served::cached(stored, self.engine.generation(), clocks, metadata);
            return (served, None);
        }
        let served = self.unstored(&brought);
        let Brought {
            token,
            cacheable,
            saved_at,
        } = brought;
        let (number, spread) = (self.flight.number, self.engine.spread(key));
        // What a caller did not want is not served again, even if its successor cannot be kept.
        let unwanted = matches!(self.flight.reason, Reason::Forced | Reason::Claims(_));
        if unwanted && self.flight.epoch == state.cleared {
            state.replaced(key, self.plan.began, now);
        }
        let stored = if cacheable && !is_late && self.is_wanted(&state) {
            let flight = saved_at.is_none().then_some(number);
            Some(state.cache.store(key.clone(), token.clone(), flight, spread, now))
        } else {
            None
        };
        let replaced = if let Some(stored) = stored {
            stored == Some(true)
        } else {
            self.failed(&mut state);
            if unwanted {
                state.outdate(key, number);
            }
            unwanted && state.cache.forget(key, number)
        };
        // Whoever remembers the token that was replaced must look again, unless it was only ageing.
        if replaced && self.flight.reason != Reason::Refresh && !key.is_of_one_thread() {
            self.engine.generation.fetch_add(1, Ordering::Release);
        }
        let is_stored = stored.flatten().is_some();
        let served = Served {
            fresh_until: (is_stored && !key.is_of_one_thread())
                .then(|| token.fresh_until(spread))
                .filter(|until| *until > now),
            generation: self.engine.generation(),
            ..served
        };
        let keep = if saved_at.is_some() {
            None
        } else if is_stored {
            Some(Keep::Token(token))
        } else {
            (unwanted && !cacheable).then_some(Keep::Nothing)
        };
        (served, keep)
    }

    /// What came, as it is served to somebody who must look again next time.
    pub(super) fn unstored(&self, brought: &Brought) -> Served {
        let from_cache = brought.saved_at.is_some();
        Served {
            token: brought.token.clone(),
            from_cache,
            fresh_until: None,
            generation: self.engine.generation(),
            metadata: Metadata {
                token_source: Some(if from_cache {
                    TokenSource::Cache
                } else {
                    TokenSource::IdentityProvider
                }),
                ..self.flight.metadata()
            },
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        // Reached without a landing only by a panic: a bug, but one that nobody may hang on.
        if !self.flight.has_landed() {
            self.fail(Error::new(
                Code::FailedResponse,
                "Internal error: an acquisition ended without an outcome.",
            ));
        }
    }
}
