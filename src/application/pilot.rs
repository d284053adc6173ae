//! One flight from its start to its end: asks the source, reads the answer, stores the token, tells
//! the waiters. Who may join it and when it starts is decided in [`application`](super).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{Engine, Plan, State};
use crate::cache::flight::{Flight, Landing, Outcome, Reason, Served};
use crate::cache::shelf::{Guard, Place, Shelf};
use crate::error::{Code, Error};
use crate::events::{Event, What};
use crate::http::send::{Awaited, Chain, End, Witness};
use crate::http::{Fault, Response, SUCCESS};
use crate::log::Level;
use crate::metadata::{Metadata, TokenSource};
use crate::source::{Answer, is_identity_missing};
use crate::token::{Age, Token};

/// A cache outside of this process may take so long, or half of the time that is left, before the source is asked.
const LOOKING: Duration = Duration::from_secs(10);
/// A token that has come is not withheld for longer because it is being kept there.
const KEEPING: Duration = Duration::from_secs(1);

/// Takes a flight to its end. However that comes, and be it by a panic, its waiters learn of it.
pub(super) struct Pilot {
    pub(super) engine: Arc<Engine>,
    pub(super) flight: Arc<Flight>,
    pub(super) plan: Plan,
}

/// What a flight brought.
struct Brought {
    token: Arc<Token>,
    /// Whether its expiry is known.
    cacheable: bool,
    from: TokenSource,
}

/// A token's place in a cache outside of this process, held while the flight works at it.
struct Shelving<'a> {
    shelf: &'a Shelf,
    place: Place,
    guard: Option<Guard>,
    /// A valid token from there, but not for long.
    spare: Option<Arc<Token>>,
}

impl Brought {
    fn shelved(token: Arc<Token>) -> Self {
        Self {
            token,
            cacheable: true,
            from: TokenSource::Cache,
        }
    }
}

impl Pilot {
    pub(super) async fn fly(self) {
        let mut chain = Box::pin(self.chain());
        let outcome = loop {
            match timeout_at(self.flight.deadline.at(), chain.as_mut()).await {
                Ok(outcome) => break outcome,
                Err(_) if self.is_abandoned() => {
                    let total = self.plan.settings.timeouts.total;
                    self.tell(&Err(self.flight.report.out_of_time(total, &self.flight.progress)));
                    return self.flight.land(Landing::OutOfTime);
                }
                Err(_) => {}
            }
        };
        match outcome {
            Ok((brought, Some(shelving))) if brought.cacheable => {
                self.flight.arrived(self.unstored(&brought));
                let mut keeping = Box::pin(self.keep(brought.token.clone(), shelving));
                let is_kept = timeout(KEEPING, keeping.as_mut()).await.is_ok();
                self.land(Ok(brought));
                if !is_kept {
                    keeping.await;
                }
            }
            outcome => self.land(outcome.map(|(brought, _)| brought)),
        }
    }

    /// Whether the last waiter has given up; then nobody can join any more. Under the lock, so that
    /// nobody joins between the look and the end.
    fn is_abandoned(&self) -> bool {
        let mut state = self.engine.lock();
        let abandoned = self.flight.deadline.at() <= Instant::now();
        if abandoned {
            state.remove(&self.plan.key, &self.flight);
            self.failed(&mut state);
        }
        abandoned
    }

    /// Looks into the cache outside of this process, if there is one, then asks the source.
    async fn chain(&self) -> Result<(Brought, Option<Shelving<'_>>), Error> {
        let Some(shelf) = &self.plan.settings.shelf else {
            return Ok((self.ask().await?, None));
        };
        let mut shelving = Shelving {
            shelf,
            place: Place::of(&self.plan.key.key, shelf, &self.engine.machine),
            guard: None,
            spare: None,
        };
        let (looking, patience) = (Instant::now(), LOOKING.min(self.flight.deadline.left() / 2));
        let looked = timeout(patience, self.look(&mut shelving)).await;
        self.flight.progress.looked(looking.elapsed());
        match looked {
            Ok(Err(error)) => Err(self.flight.report.signed(error, 0)),
            Ok(Ok(Some(token))) => Ok((Brought::shelved(token), None)),
            Ok(Ok(None)) | Err(_) => match (self.ask().await, &shelving.spare) {
                // What is valid is not withheld because no other can be had.
                (Err(_), Some(spare)) if spare.expires_on > self.engine.machine.clock.now() => {
                    Ok((Brought::shelved(spare.clone()), None))
                }
                (asked, _) => Ok((asked?, Some(shelving))),
            },
        }
    }

    /// Looks for a token in the cache outside of this process. Where there is none, whoever returns from here is the one
    /// process that asks for it, if the cache can see to that.
    async fn look(&self, shelving: &mut Shelving<'_>) -> Result<Option<Arc<Token>>, Error> {
        let store = &shelving.shelf.store;
        store.open().await?;
        if let Some(token) = self.shelved(shelving).await {
            return Ok(Some(token));
        }
        shelving.guard = store.hold(&shelving.place.entry).await;
        match shelving.guard {
            // Whoever held it may have brought a token.
            Some(_) => Ok(self.shelved(shelving).await),
            None => Ok(None),
        }
    }

    /// A token from the cache outside of this process that would do here. One that is valid, but not for long, is left
    /// with the waiters for the time when no other can be had.
    async fn shelved(&self, shelving: &mut Shelving<'_>) -> Option<Arc<Token>> {
        // Who wants another token than the cached one does not want that of another process either.
        let refresh = match self.flight.reason {
            Reason::Forced | Reason::Claims(_) => return None,
            Reason::Refresh => true,
            Reason::Empty => false,
        };
        let Shelving { shelf, place, .. } = shelving;
        let record = shelf.store.load(&place.entry).await?;
        let now = self.engine.machine.clock.now();
        let since = self.engine.lock().cleared_at;
        let token = Arc::new(place.token(&record, since, now)?);
        match token.age(now, self.engine.spread(&self.plan.key.key)) {
            Age::Fresh => Some(token),
            // What would only take the place of its like is no refresh.
            _ if refresh => None,
            Age::Ageing => Some(token),
            Age::Expired => None,
            Age::NearlyExpired => {
                shelving.spare = Some(token.clone());
                self.flight.fall_back_on(self.unstored(&Brought::shelved(token)));
                None
            }
        }
    }

    /// Has the cache outside of this process keep a token, unless it is no longer wanted.
    async fn keep(&self, token: Arc<Token>, shelving: Shelving<'_>) {
        let Shelving {
            shelf, place, guard, ..
        } = shelving;
        if !self.is_wanted(&self.engine.lock()) {
            return;
        }
        let keeping = Instant::now();
        let record = place.record(&token, self.engine.machine.clock.now());
        shelf.store.save(&place.entry, record).await;
        drop(guard);
        self.flight.progress.looked(keeping.elapsed());
    }

    /// Asks the source until it answers with a token or an error that no retry would better.
    async fn ask(&self) -> Result<Brought, Error> {
        let Plan {
            source,
            ask,
            settings,
            ..
        } = &self.plan;
        let (machine, report, progress) = (&self.engine.machine, &self.flight.report, &self.flight.progress);
        if self.plan.key.probe {
            self.engine.probe_once(&self.plan).await?;
        }
        let request = source
            .request(ask, machine)
            .map_err(|error| report.signed(error, 0))?;
        let gate = self.engine.gates.gate(&request.url);
        let transport = settings.transport.as_ref().unwrap_or(&self.engine.native);
        let chain = Chain {
            transport: &**transport,
            gate: &gate,
            policy: (!settings.disable_internal_retries).then(|| source.policy()),
            connect_timeout: settings.timeouts.connect,
            request_timeout: settings.timeouts.request,
            deadline: &self.flight.deadline,
            awaited: self.plan.key.identity_wait.map(|within| Awaited {
                within,
                is_missing: is_identity_missing,
            }),
            machine,
            progress,
        };
        let challenge = |response: &Response| {
            let status = Some(response.status);
            let answered = source.challenge(ask, response, machine);
            answered.map_err(|error| error.with(|facts| facts.status = status))
        };
        match chain.run(&request, &challenge, self).await {
            End::Answer(response) => self.read(&response),
            end => Err(self.error(&end)),
        }
    }

    /// The token of an answer.
    fn read(&self, response: &Response) -> Result<Brought, Error> {
        let (report, attempts) = (&self.flight.report, self.flight.progress.attempts());
        let now = self.engine.machine.clock.now();
        let answer = Answer::read(&response.body).filter(|_| response.status == SUCCESS);
        let Some((answer, grant)) =
            answer.and_then(|mut answer| answer.grant(now).map(|grant| (answer, grant)))
        else {
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
        Ok(Brought {
            token: Arc::new(grant.token),
            cacheable: grant.cacheable,
            from: TokenSource::IdentityProvider,
        })
    }

    fn error(&self, end: &End) -> Error {
        let (report, attempts) = (&self.flight.report, self.flight.progress.attempts());
        match end {
            End::Answer(response) => self.refusal(response),
            End::Fault(fault) => report.fault(
                fault,
                attempts,
                self.plan.source.policy().fault(fault.kind).is_some(),
            ),
            End::Paused(pause) => report.paused(*pause, attempts),
            End::Stopped(error) => report.signed(error.clone(), attempts),
        }
    }

    fn refusal(&self, response: &Response) -> Error {
        let retryable = self.plan.source.policy().status(response.status).is_some();
        let earlier = self.plan.earlier.as_ref().map(|token| &token.secret);
        self.flight
            .report
            .refusal(response, earlier, self.flight.progress.attempts(), retryable)
    }

    /// Whether what it brings is still to be cached.
    fn is_wanted(&self, state: &State) -> bool {
        self.flight.epoch == state.cleared && !self.flight.outdated.load(Ordering::Relaxed)
    }

    /// Stores what came, and tells the waiters.
    fn land(&self, outcome: Result<Brought, Error>) {
        let mut state = self.engine.lock();
        state.remove(&self.plan.key, &self.flight);
        let outcome = match outcome {
            Ok(brought) => Ok(self.store(&mut state, brought)),
            Err(error) => {
                self.failed(&mut state);
                Err(error)
            }
        };
        drop(state);
        self.tell(&outcome);
        self.flight.land(Landing::Ended(outcome));
    }

    /// Puts the next refresh off, if this was one.
    fn failed(&self, state: &mut State) {
        if self.flight.epoch == state.cleared && self.flight.reason == Reason::Refresh {
            state.cache.failed(&self.plan.key.key);
        }
    }

    fn store(&self, state: &mut State, brought: Brought) -> Served {
        let Brought {
            token,
            cacheable,
            from,
        } = brought;
        let key = &self.plan.key.key;
        let spread = self.engine.spread(key);
        let now = self.engine.machine.clock.now();
        let mut fresh_until = None;
        let number = self.flight.number;
        let replaced = if cacheable && self.is_wanted(state) {
            let stored = state.cache.store(key.clone(), token.clone(), number, spread, now);
            fresh_until = stored
                .map(|_| token.fresh_until(spread))
                .filter(|until| *until > now);
            stored == Some(true)
        } else {
            self.failed(state);
            // What a caller did not want is not served again, even if its successor cannot be kept.
            let unwanted = matches!(self.flight.reason, Reason::Forced | Reason::Claims(_));
            if unwanted {
                state.outdate(key, number);
            }
            unwanted && state.cache.forget(key, number)
        };
        // Whoever remembers the token that was replaced must look again, unless it was only ageing.
        if replaced && self.flight.reason != Reason::Refresh {
            self.engine.generation.fetch_add(1, Ordering::Release);
        }
        Served {
            fresh_until,
            ..self.unstored(&Brought {
                token,
                cacheable,
                from,
            })
        }
    }

    /// What came, as it is served to somebody who must look again next time.
    fn unstored(&self, Brought { token, from, .. }: &Brought) -> Served {
        Served {
            token: token.clone(),
            from_cache: *from == TokenSource::Cache,
            fresh_until: None,
            generation: self.engine.generation(),
            metadata: Metadata {
                token_source: Some(*from),
                ..self.flight.metadata()
            },
        }
    }

    /// Tells the reader of the log, and after a refresh behind a caller whoever observes.
    fn tell(&self, outcome: &Outcome) {
        if self.plan.place.is_some() {
            self.notice(|| What::Refresh(outcome.clone()));
        }
        match outcome {
            Ok(served) => self.log(Level::Info, || {
                let left = served.token.expires_on.since(self.engine.machine.clock.now());
                format!("got a token for {} s", left.as_secs())
            }),
            Err(error) if self.flight.reason == Reason::Refresh => {
                self.log(Level::Warning, || format!("a refresh failed: {error}"));
            }
            Err(error) => self.log(Level::Error, || error.to_string()),
        }
    }

    fn notice(&self, what: impl FnOnce() -> What) {
        let Plan { ask, settings, .. } = &self.plan;
        settings.observation.notice(|| Event {
            correlation_id: ask.correlation_id.clone(),
            resource: ask.resource.as_str().to_owned(),
            source: self.flight.report.source(),
            endpoint: self.flight.report.endpoint().to_owned(),
            what: what(),
        });
    }

    fn log(&self, level: Level, words: impl FnOnce() -> String) {
        let now = self.engine.machine.clock.now();
        self.plan
            .settings
            .log
            .write(level, now, &self.plan.ask.correlation_id, words);
    }
}

impl Witness for Pilot {
    fn leaving(&self) {
        self.log(Level::Info, || {
            let report = &self.flight.report;
            format!("asking {} at {}", report.source().as_str(), report.endpoint())
        });
    }

    fn returned(&self, answer: &Result<Response, Fault>, took: Duration) {
        self.notice(|| What::Request {
            attempt: self.flight.progress.attempts(),
            status: answer.as_ref().ok().map(|answer| answer.status),
            fault: answer.as_ref().err().map(Fault::name),
            took,
        });
    }

    fn retrying(&self, end: &End, wait: Duration) -> Error {
        let error = self.error(end);
        self.log(Level::Warning, || {
            format!(
                "{}; trying again in {} ms",
                error.facts().message.trim_end_matches('.'),
                wait.as_millis()
            )
        });
        self.notice(|| What::Retry {
            attempt: self.flight.progress.attempts(),
            error: error.clone(),
            wait,
        });
        error
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        // Reached without a landing only by a panic: a bug, but one that nobody may hang on.
        if !self.flight.has_landed() {
            self.land(Err(Error::new(
                Code::FailedResponse,
                "Internal error: an acquisition ended without an outcome.",
            )));
        }
    }
}
