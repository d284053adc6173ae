//! What all calls share, behind one lock: the tokens, the flights under way, and what is not wanted any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::acquisition::in_flight::{Flight, FlightKey, Reason};
use crate::cache::{Cache, Found, Key};
use crate::platform::WallClocks;
use crate::token::{MAX_TOKEN_LIFETIME, Timestamp, Token};

/// From so many keys on it is looked for those that no token can be about any more.
const UNWANTED_SWEPT_FROM: usize = 1_024;

#[derive(Default)]
pub(super) struct State {
    pub(super) cache: Cache,
    pub(super) flights: HashMap<FlightKey, Vec<Arc<Flight>>>,
    pub(super) started: u64,
    pub(super) cleared: u64,
    pub(super) cleared_at: Option<Timestamp>,
    /// When another token than the one that there was last began to be asked for, and came.
    pub(super) unwanted: HashMap<Key, Timestamp>,
}

impl State {
    /// The token of a key as these clocks see it.
    pub(super) fn find(&mut self, key: &Key, now: WallClocks) -> Found {
        if !key.is_of_one_thread() {
            return self.cache.find(key, now);
        }
        // Who wanted another token than the one that all threads see is not given that again.
        let may_share = !self.unwanted.contains_key(key);
        self.cache.find_of_thread(key, now, may_share)
    }

    /// A flight of this key that brings what is wanted.
    pub(super) fn joinable(
        &self,
        key: &FlightKey,
        reason: &Reason,
        called_at: WallClocks,
    ) -> Option<Arc<Flight>> {
        // Who wants another token than the cached one has nothing of a flight that is older than it.
        let wants_another = matches!(reason, Reason::Forced | Reason::Claims(_));
        let held = self.cache.flight(&key.key).filter(|_| wants_another);
        let brings_what_is_wanted = |flight: &&Arc<Flight>| {
            reason.may_join(&flight.reason, key.shelf.is_some())
                && !flight.outdated.load(Ordering::Relaxed)
                && held.is_none_or(|held| flight.number > held)
                // A test has moved its clock on: on that, a token dated by the earlier time may have expired already.
                && !(key.key.is_of_one_thread() && called_at.were_set_ahead_since(flight.offset_ms))
        };
        self.flights.get(key)?.iter().find(brings_what_is_wanted).cloned()
    }

    /// What was kept outside of this process before that is not wanted any more.
    pub(super) fn unwanted_before(&self, key: &Key) -> Option<Timestamp> {
        self.cleared_at.max(self.unwanted.get(key).copied())
    }

    /// Whether a token that was kept outside of this process comes too late: the cache has had a later one since, or
    /// somebody another one.
    pub(super) fn is_late(&self, key: &Key, token: &Token, saved_at: Timestamp) -> bool {
        let unwanted = self.unwanted_before(key).is_some_and(|before| saved_at <= before);
        unwanted || self.cache.ends(key).is_some_and(|ends| ends >= token.expires_on)
    }

    /// Nobody wants what was there before `began`.
    pub(super) fn replaced(&mut self, key: &Key, began: Timestamp, now: Timestamp) {
        if self.unwanted.len() >= UNWANTED_SWEPT_FROM {
            let oldest = now.minus(MAX_TOKEN_LIFETIME);
            self.unwanted.retain(|_, began| *began > oldest);
        }
        self.unwanted.insert(key.clone(), began);
    }

    /// Nothing that an earlier flight for this key brings is to be cached.
    pub(super) fn outdate(&self, key: &Key, number: u64) {
        let flights = self.flights.iter().filter(|(other, _)| other.key == *key);
        for flight in flights.flat_map(|(_, flights)| flights) {
            if flight.number < number {
                flight.outdated.store(true, Ordering::Relaxed);
            }
        }
    }

    /// From now on nobody joins it.
    pub(super) fn remove(&mut self, key: &FlightKey, flight: &Arc<Flight>) {
        if let Some(flights) = self.flights.get_mut(key) {
            flights.retain(|other| !Arc::ptr_eq(other, flight));
            if flights.is_empty() {
                self.flights.remove(key);
            }
        }
    }
}
