//! The use case: validate, look into the cache, ask the source, store what it brings.
//!
//! The [`Engine`] holds what the applications of a process share: the cache and the flights under
//! one lock, so that "look up, join or start" and "store, remove" cannot be torn apart, and the
//! transport with the gates of its endpoints. It knows nothing of Node and reads nothing of the
//! process: every call brings its environment along.

mod capabilities;
mod dating;
pub mod in_flight;
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

use self::capabilities::with_continuous_access;
use self::probe::Presence;
use self::resource_check::ResourceAliases;
use self::state::State;
use self::task::Pilot;
use self::trigger::{reason, refresh_reason};
use crate::acquisition::in_flight::{Flight, FlightKey, Reason, Served, Waiter};
use crate::cache::{Found, Key};
use crate::error::{Cause, Code, Error};
use crate::http::endpoint_limiter::Gates;
use crate::http::tls::ProcessRoots;
use crate::http::{Transport, local_error};
use crate::metadata::{Metadata, RefreshReason};
use crate::options::Settings;
use crate::options::request::{TokenRequest, Wish};
use crate::platform::{CallerClock, Environment, Machine, WallClocks};
use crate::source::{self, Ask, Report, Source, SourceName};
use crate::token::{REFRESH_SPREAD, Timestamp, Token};

/// Where flights run: asked when the first one starts.
pub type Spawner = fn() -> io::Result<Handle>;

/// What a call of [`Engine::acquire`] leads to.
pub enum Acquired {
    /// A token from the cache, at once.
    Served(Served),
    /// Somebody must wait.
    Pending(Waiter),
}

/// When the last probe ended, and how.
type LastProbe = tokio::sync::Mutex<Option<(Instant, Result<Presence, Error>)>>;

/// What the applications of one process share.
pub struct Engine {
    machine: Machine,
    native: Arc<dyn Transport>,
    gates: Gates,
    spawner: Spawner,
    spreads: RandomState,
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
struct Boarding {
    wish: Wish,
    tenant: Option<String>,
    total: Duration,
}

/// Everything that a flight goes by.
struct Plan {
    source: Arc<dyn Source>,
    ask: Ask,
    settings: Settings,
    /// What vouches for an https endpoint.
    roots: ProcessRoots,
    key: FlightKey,
    /// The token that was cached before: nothing that the endpoint says of it is repeated.
    earlier: Option<Arc<Token>>,
    /// When it was made.
    began: Timestamp,
    /// When it was made, by the clock of the caller, too.
    called_at: WallClocks,
    /// A refresh behind a caller keeps its place to its end.
    place: Option<OwnedSemaphorePermit>,
}

impl Engine {
    /// An engine with nothing cached and nothing under way.
    pub fn new(machine: Machine, native: Arc<dyn Transport>, spawner: Spawner) -> Arc<Self> {
        Arc::new(Self {
            gates: Gates::new(machine.clock.clone()),
            machine,
            native,
            spawner,
            spreads: RandomState::new(),
            generation: AtomicU32::new(0),
            imds_has_responded: AtomicBool::new(false),
            imds_silent_until: Mutex::default(),
            resource_aliases: ResourceAliases::default(),
            probes: Mutex::default(),
            state: Mutex::default(),
        })
    }

    /// The machine that it works on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// A token from the cache, or a place among those who wait for one.
    pub fn acquire(
        self: &Arc<Self>,
        settings: &Settings,
        request: TokenRequest,
        env: &Environment,
        caller: CallerClock,
    ) -> Result<Acquired, Error> {
        let source = source::open(env, settings, &self.machine)?;
        let total = request.timeout.unwrap_or(settings.timeouts.total);
        let boarding = Boarding {
            wish: request.wish,
            tenant: request.tenant.clone(),
            total,
        };
        let plan = self.plan(source, settings, request, ProcessRoots::of(env), caller)?;
        let mut departure = None;
        let acquired = self.board(boarding, plan, &mut departure);
        // Outside of the lock: a runtime that refuses the flight ends it on the spot.
        if let Some(Departure { runtime, pilot }) = departure {
            runtime.spawn(pilot.fly());
        }
        acquired
    }

    /// Looks the token up, joins a flight or makes one ready, all under one lock.
    fn board(
        self: &Arc<Self>,
        Boarding { wish, tenant, total }: Boarding,
        mut plan: Plan,
        departure: &mut Option<Departure>,
    ) -> Result<Acquired, Error> {
        let mut state = self.lock();
        let now = plan.called_at.when(self.machine.clock.now());
        let found = state.find(&plan.key.key, now);
        plan.earlier = found.token().cloned();
        let report = Report::about(&*plan.source);
        let cached = |stored, reason| {
            let metadata = Metadata::cached(reason, report.endpoint().to_owned());
            let served = Served::cached(stored, self.generation(), now, metadata);
            served.of_tenant(tenant.as_deref(), &report)?;
            Ok(served)
        };
        let refresh_reason = refresh_reason(wish, &found);
        let reason = reason(wish, &found, &*plan.source);
        let fallback = match (wish, found) {
            (Wish::Any, Found::Serve(stored)) => {
                return cached(stored, RefreshReason::NotApplicable).map(Acquired::Served);
            }
            (Wish::Any, Found::ServeAndRefresh(stored)) => {
                // The caller is served: its own timeout is not the refresh's.
                let total = plan.settings.timeouts.total;
                *departure = self.refresh_behind(&mut state, plan, total);
                return cached(stored, refresh_reason).map(Acquired::Served);
            }
            (Wish::Any, Found::RefreshFirst(stored)) => Some(cached(stored, refresh_reason)?),
            _ => None,
        };
        if let Reason::Claims(hash) = &reason {
            plan.ask.refused_token.clone_from(hash);
        }
        let flight = match state.joinable(&plan.key, &reason, plan.called_at) {
            Some(flight) => {
                // A pause that is too long for this caller is no reason to keep them waiting.
                let gate = self.gates.gate(&plan.source.endpoint().with_query(&[]));
                if let Some(pause) = gate.paused_for().filter(|pause| *pause > total)
                    && flight.progress.is_paused()
                {
                    let error = report.paused(pause, flight.progress.attempts());
                    return fallback.map(Acquired::Served).ok_or(error);
                }
                flight
            }
            None => match self.prepare(&mut state, (reason, refresh_reason), plan, total) {
                Ok(ready) => departure.insert(ready).pilot.flight.clone(),
                Err(error) => return fallback.map(Acquired::Served).ok_or(error),
            },
        };
        let clocks = (self.machine.clock.clone(), now);
        Ok(Acquired::Pending(flight.waiter(total, fallback, tenant, clocks)))
    }

    /// Which host this is, without asking it.
    pub fn source_name(&self, settings: &Settings, env: &Environment) -> SourceName {
        source::name(env, settings, &self.machine)
    }

    /// Whether the environment has a source that the application may use, without asking it.
    pub fn has_source(&self, settings: &Settings, env: &Environment) -> bool {
        source::is_any_there(env, settings, &self.machine)
    }

    /// Forgets every token. Flights under way still answer their waiters, but store nothing.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.cache.clear();
        state.flights.clear();
        state.cleared += 1;
        state.cleared_at = Some(self.machine.clock.now());
        state.unwanted.clear();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever a token that somebody remembers may no longer be the cached one.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    fn plan(
        &self,
        source: Arc<dyn Source>,
        settings: &Settings,
        request: TokenRequest,
        roots: ProcessRoots,
        caller: CallerClock,
    ) -> Result<Plan, Error> {
        let began = self.machine.clock.now();
        let called_at = WallClocks {
            system: began,
            caller: caller.now,
        };
        // What a test does with its clock stays in its thread, and in memory.
        let thread = called_at.disagree().then_some(caller.thread);
        let mut settings = settings.clone();
        if thread.is_some() {
            settings.shelf = None;
        }
        let capabilities = if request.continuous_access {
            Some(with_continuous_access(settings.capabilities.as_deref()))
        } else {
            settings.capabilities.clone()
        };
        let ask = Ask {
            resource: request.resource,
            identity: settings.identity.clone(),
            capabilities,
            claims: request.claims,
            refused_token: None,
            correlation_id: request.correlation_id,
        };
        let claims = source
            .claims_parameter(&ask)
            .map_err(|error| error.with(|facts| facts.source = Some(source.name())))?;
        let key = FlightKey {
            key: Key::of(&*source, &ask).of_thread(thread),
            claims,
            transport: settings.transport.as_ref().unwrap_or(&self.native).id(),
            disable_internal_retries: settings.disable_internal_retries,
            retry_options: settings.retry_options,
            identity_wait: request.identity_wait,
            shelf: settings
                .shelf
                .as_ref()
                .map(|shelf| shelf.store.label().to_owned()),
            probe: request.for_credential && source.may_be_nowhere() && !self.imds_has_responded(),
        };
        Ok(Plan {
            source,
            ask,
            settings,
            roots,
            key,
            earlier: None,
            began,
            called_at,
            place: None,
        })
    }

    /// A refresh, if none is under way and its endpoint is not busy with others.
    fn refresh_behind(
        self: &Arc<Self>,
        state: &mut State,
        mut plan: Plan,
        total: Duration,
    ) -> Option<Departure> {
        if state
            .joinable(&plan.key, &Reason::Refresh, plan.called_at)
            .is_some()
        {
            return None;
        }
        plan.place = Some(
            self.gates
                .gate(&plan.source.endpoint().with_query(&[]))
                .refresh()?,
        );
        // Without a thread to run it there is no refresh; the token at hand is valid.
        let reason = (Reason::Refresh, RefreshReason::ProactivelyRefreshed);
        self.prepare(state, reason, plan, total).ok()
    }

    /// A flight that others can join from now on; the caller lets it go when the lock is open.
    fn prepare(
        self: &Arc<Self>,
        state: &mut State,
        reason: (Reason, RefreshReason),
        plan: Plan,
        total: Duration,
    ) -> Result<Departure, Error> {
        let runtime = (self.spawner)().map_err(|error| {
            let message = format!("The network thread could not be started ({error}).");
            Error::new(Code::NetworkUnavailable, message).with(|facts| {
                facts.retryable = true;
                facts.cause = Some(Cause {
                    code: local_error::code(&error),
                    message: error.to_string(),
                });
            })
        })?;
        state.started += 1;
        let report = Report::about(&*plan.source).naming(plan.source.identity_id(&plan.ask));
        let in_background = plan.place.is_some();
        let flight = Flight::new(
            state.started,
            state.cleared,
            reason,
            total,
            in_background,
            report,
            plan.called_at,
        );
        let flights = state.flights.entry(plan.key.clone()).or_default();
        flights.push(flight.clone());
        Ok(Departure {
            runtime,
            pilot: Pilot {
                engine: self.clone(),
                flight,
                plan,
                presence: OnceLock::new(),
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

/// A flight that is about to leave.
struct Departure {
    runtime: Handle,
    pilot: Pilot,
}

#[cfg(test)]
mod tests;
