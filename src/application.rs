//! The use case: validate, look into the cache, ask the source, store what it brings.
//!
//! The [`Engine`] holds what the applications of a process share: the cache and the flights under
//! one lock, so that "look up, join or start" and "store, remove" cannot be torn apart, and the
//! transport with the gates of its endpoints. It knows nothing of Node and reads nothing of the
//! process: every call brings its environment along.

mod pilot;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use self::pilot::Pilot;
use crate::cache::flight::{Flight, FlightKey, Reason, Served, Waiter};
use crate::cache::{Cache, Found, Key};
use crate::config::Settings;
use crate::error::{Code, Error};
use crate::http::Transport;
use crate::http::gate::Gates;
use crate::machine::{Environment, Machine};
use crate::request::{TokenRequest, Wish};
use crate::source::{self, Ask, Report, Source, SourceName};
use crate::token::{REFRESH_SPREAD, Secret};

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
                // The caller is served: its own timeout is not the refresh's.
                let total = plan.settings.timeouts.total;
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

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
