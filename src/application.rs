//! The use case: validate, look into the cache, ask the source, store what it brings.
//!
//! The [`Engine`] holds what the applications of a process share: the cache and the flights under
//! one lock, so that "look up, join or start" and "store, remove" cannot be torn apart, and the
//! transport with the gates of its endpoints. It knows nothing of Node and reads nothing of the
//! process: every call brings its environment along.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::cache::flight::{Flight, FlightKey, Landing, Outcome, Reason, Served, Waiter};
use crate::cache::{Cache, Found, Key};
use crate::config::Settings;
use crate::error::{Code, Error};
use crate::http::gate::Gates;
use crate::http::send::{Chain, End};
use crate::http::{Response, Transport};
use crate::log::Level;
use crate::machine::{Environment, Machine};
use crate::request::{TokenRequest, Wish};
use crate::source::{self, Answer, Ask, Report, Source, SourceName};
use crate::token::{REFRESH_SPREAD, Secret, Token};

const SUCCESS: u16 = 200;

/// Where flights run: asked when the first one starts.
pub type Spawner = fn() -> io::Result<Handle>;

/// What a call of [`Engine::acquire`] leads to.
pub enum Acquired {
    /// A token from the cache, at once.
    Served(Served),
    /// Somebody must wait.
    Pending(Waiter),
}

/// What the applications of one process share.
pub struct Engine {
    machine: Machine,
    native: Arc<dyn Transport>,
    gates: Gates,
    spawner: Spawner,
    spreads: RandomState,
    generation: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cache: Cache,
    flights: HashMap<FlightKey, Vec<Arc<Flight>>>,
    started: u64,
    cleared: u64,
}

/// Everything that a flight goes by.
struct Plan {
    source: Box<dyn Source>,
    ask: Ask,
    settings: Settings,
    key: FlightKey,
    /// A refresh behind a caller keeps its place to its end.
    place: Option<OwnedSemaphorePermit>,
}

impl Engine {
    /// An engine with nothing cached and nothing under way.
    pub fn new(machine: Machine, native: Arc<dyn Transport>, spawner: Spawner) -> Arc<Self> {
        Arc::new(Self {
            machine,
            native,
            gates: Gates::default(),
            spawner,
            spreads: RandomState::new(),
            generation: AtomicU32::new(0),
            state: Mutex::default(),
        })
    }

    /// A token from the cache, or a place among those who wait for one.
    pub fn acquire(
        self: &Arc<Self>,
        settings: &Settings,
        request: TokenRequest,
        env: &Environment,
    ) -> Result<Acquired, Error> {
        let source = source::open(env, settings, &self.machine)?;
        let total = request.timeout.unwrap_or(settings.timeouts.total);
        let wish = request.wish;
        let plan = self.plan(source, settings, request);
        let mut departure = None;
        let acquired = self.board(wish, plan, total, &mut departure);
        // Outside of the lock: a runtime that refuses the flight ends it on the spot.
        if let Some(Departure { runtime, pilot }) = departure {
            runtime.spawn(pilot.fly());
        }
        acquired
    }

    /// Looks the token up, joins a flight or makes one ready, all under one lock.
    fn board(
        self: &Arc<Self>,
        wish: Wish,
        mut plan: Plan,
        total: Duration,
        departure: &mut Option<Departure>,
    ) -> Result<Acquired, Error> {
        let mut state = self.lock();
        let now = self.machine.clock.now();
        let found = state.cache.find(&plan.key.key, now);
        let cached = |stored| Served::cached(stored, self.generation(), now);
        let reason = reason(wish, &found, &*plan.source);
        let fallback = match (wish, found) {
            (Wish::Any, Found::Serve(stored)) => return Ok(Acquired::Served(cached(stored))),
            (Wish::Any, Found::ServeAndRefresh(stored)) => {
                *departure = self.refresh_behind(&mut state, plan, total);
                return Ok(Acquired::Served(cached(stored)));
            }
            (Wish::Any, Found::RefreshFirst(stored)) => Some(cached(stored)),
            _ => None,
        };
        if let Reason::Claims(hash) = &reason {
            plan.ask.refused_token.clone_from(hash);
        }
        let flight = match state.joinable(&plan.key, &reason) {
            Some(flight) => flight,
            None => match self.prepare(&mut state, reason, plan, total) {
                Ok(ready) => departure.insert(ready).pilot.flight.clone(),
                Err(error) => return fallback.map(Acquired::Served).ok_or(error),
            },
        };
        let clock = self.machine.clock.clone();
        Ok(Acquired::Pending(flight.waiter(total, fallback, clock)))
    }

    /// Which host this is, without asking it.
    pub fn source_name(&self, settings: &Settings, env: &Environment) -> SourceName {
        source::name(env, settings, &self.machine)
    }

    /// Forgets every token. Flights under way still answer their waiters, but store nothing.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.cache.clear();
        state.flights.clear();
        state.cleared += 1;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever a token that somebody remembers may no longer be the cached one.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    fn plan(&self, source: Box<dyn Source>, settings: &Settings, request: TokenRequest) -> Plan {
        let ask = Ask {
            resource: request.resource,
            identity: settings.identity.clone(),
            capabilities: settings.capabilities.clone(),
            refused_token: None,
            correlation_id: request.correlation_id,
        };
        let key = FlightKey {
            key: Key::of(&*source, &ask),
            transport: settings.transport.as_ref().unwrap_or(&self.native).id(),
            disable_internal_retries: settings.disable_internal_retries,
        };
        Plan {
            source,
            ask,
            settings: settings.clone(),
            key,
            place: None,
        }
    }

    /// A refresh, if none is under way and its endpoint is not busy with others.
    fn refresh_behind(
        self: &Arc<Self>,
        state: &mut State,
        mut plan: Plan,
        total: Duration,
    ) -> Option<Departure> {
        if state.joinable(&plan.key, &Reason::Refresh).is_some() {
            return None;
        }
        plan.place = Some(
            self.gates
                .gate(&plan.source.endpoint().with_query(&[]))
                .refresh()?,
        );
        // Without a thread to run it there is no refresh; the token at hand is valid.
        self.prepare(state, Reason::Refresh, plan, total).ok()
    }

    /// A flight that others can join from now on; the caller lets it go when the lock is open.
    fn prepare(
        self: &Arc<Self>,
        state: &mut State,
        reason: Reason,
        plan: Plan,
        total: Duration,
    ) -> Result<Departure, Error> {
        let runtime = (self.spawner)().map_err(|error| {
            let message = format!("The network thread could not be started ({error}).");
            Error::new(Code::NetworkUnavailable, message).with(|facts| facts.retryable = true)
        })?;
        state.started += 1;
        let report = Report::about(&*plan.source);
        let flight = Flight::new(state.started, state.cleared, reason, total, report);
        let flights = state.flights.entry(plan.key.clone()).or_default();
        flights.push(flight.clone());
        Ok(Departure {
            runtime,
            pilot: Pilot {
                engine: self.clone(),
                flight,
                plan,
            },
        })
    }

    fn spread(&self, key: &Key) -> Duration {
        let high = u32::try_from(self.spreads.hash_one(key) >> 32).unwrap_or_default();
        REFRESH_SPREAD.mul_f64(f64::from(high) / f64::from(u32::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn joinable(&self, key: &FlightKey, reason: &Reason) -> Option<Arc<Flight>> {
        self.flights
            .get(key)?
            .iter()
            .find(|flight| reason.may_join(&flight.reason))
            .cloned()
    }

    fn remove(&mut self, key: &FlightKey, flight: &Arc<Flight>) {
        if let Some(flights) = self.flights.get_mut(key) {
            flights.retain(|other| !Arc::ptr_eq(other, flight));
            if flights.is_empty() {
                self.flights.remove(key);
            }
        }
    }
}

fn reason(wish: Wish, found: &Found, source: &dyn Source) -> Reason {
    match wish {
        Wish::New => Reason::Forced,
        Wish::Other => {
            let refused = found.token().filter(|_| source.takes_refused_token());
            Reason::Claims(refused.map(|token| sha256(&token.secret)))
        }
        Wish::Any => match found {
            Found::Nothing => Reason::Empty,
            _ => Reason::Refresh,
        },
    }
}

/// Lower-case hexadecimal.
fn sha256(secret: &Secret) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, secret.expose().as_bytes())
        .as_ref()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// A flight that is about to leave.
struct Departure {
    runtime: Handle,
    pilot: Pilot,
}

/// Takes a flight to its end. However that comes, and be it by a panic, its waiters learn of it.
struct Pilot {
    engine: Arc<Engine>,
    flight: Arc<Flight>,
    plan: Plan,
}

impl Pilot {
    async fn fly(self) {
        let mut chain = Box::pin(self.chain());
        loop {
            match timeout_at(self.flight.deadline.at(), chain.as_mut()).await {
                Ok(outcome) => return self.land(outcome),
                Err(_) if self.is_abandoned() => return self.flight.land(Landing::OutOfTime),
                Err(_) => {}
            }
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

    /// Asks the source until it answers with a token or an error that no retry would better.
    async fn chain(&self) -> Result<(Arc<Token>, bool), Error> {
        let Plan {
            source,
            ask,
            settings,
            ..
        } = &self.plan;
        let (machine, report, progress) = (&self.engine.machine, &self.flight.report, &self.flight.progress);
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
            machine,
            progress,
        };
        self.log(Level::Info, || {
            format!(
                "asking {} at {}",
                source.name().as_str(),
                source.endpoint().shown()
            )
        });
        let challenge = |response: &Response| source.challenge(ask, response, machine);
        let retrying = |end: &End, wait: Duration| {
            let error = self.error(end);
            self.log(Level::Warning, || {
                format!(
                    "{}; trying again in {} ms",
                    error.facts().message.trim_end_matches('.'),
                    wait.as_millis()
                )
            });
            error
        };
        match chain.run(&request, &challenge, &retrying).await {
            End::Answer(response) => self.read(&response),
            end => Err(self.error(&end)),
        }
    }

    /// The token of an answer.
    fn read(&self, response: &Response) -> Result<(Arc<Token>, bool), Error> {
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
        Ok((Arc::new(grant.token), grant.cacheable))
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
        self.flight
            .report
            .refusal(response, self.flight.progress.attempts(), retryable)
    }

    /// Stores what came, and tells the waiters.
    fn land(&self, outcome: Result<(Arc<Token>, bool), Error>) {
        let mut state = self.engine.lock();
        state.remove(&self.plan.key, &self.flight);
        let outcome = match outcome {
            Ok((token, cacheable)) => Ok(self.store(&mut state, token, cacheable)),
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

    fn store(&self, state: &mut State, token: Arc<Token>, cacheable: bool) -> Served {
        let key = &self.plan.key.key;
        let spread = self.engine.spread(key);
        let now = self.engine.machine.clock.now();
        let mut fresh_until = None;
        let number = self.flight.number;
        let replaced = if cacheable && self.flight.epoch == state.cleared {
            let stored = state.cache.store(key.clone(), token.clone(), number, spread, now);
            fresh_until = stored
                .map(|_| token.fresh_until(spread))
                .filter(|until| *until > now);
            stored == Some(true)
        } else {
            self.failed(state);
            // What a caller did not want is not served again, even if its successor cannot be kept.
            let unwanted = matches!(self.flight.reason, Reason::Forced | Reason::Claims(_));
            unwanted && state.cache.forget(key, number)
        };
        // Whoever remembers the token that was replaced must look again, unless it was only ageing.
        if replaced && self.flight.reason != Reason::Refresh {
            self.engine.generation.fetch_add(1, Ordering::Release);
        }
        Served {
            token,
            from_cache: false,
            fresh_until,
            generation: self.engine.generation(),
        }
    }

    fn tell(&self, outcome: &Outcome) {
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

    fn log(&self, level: Level, words: impl FnOnce() -> String) {
        let now = self.engine.machine.clock.now();
        self.plan
            .settings
            .log
            .write(level, now, &self.plan.ask.correlation_id, words);
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

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
