//! What all calls share, behind one lock: the tokens, the flights under way, and what is not wanted any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::acquisition::in_flight::{CoalescingKey, InFlightRequest};
use crate::acquisition::trigger::AcquisitionTrigger;
use crate::cache::{Cache, CacheKey, Lookup};
use crate::token::{MAX_TOKEN_LIFETIME, Timestamp, Token, WallClocks};

/// From so many keys on it is looked for those that no token can be about any more.
const INVALIDATION_SWEEP_THRESHOLD: usize = 1_024;

#[derive(Default)]
pub(super) struct State {
    pub(super) cache: Cache,
    pub(super) in_flight: HashMap<CoalescingKey, Vec<Arc<InFlightRequest>>>,
    pub(super) last_sequence: u64,
    pub(super) epoch: u64,
    pub(super) cleared_at: Option<Timestamp>,
    /// When another token than the one that there was last began to be asked for, and came.
    pub(super) invalidated_at: HashMap<CacheKey, Timestamp>,
    /// When the tokens of single origins were cleared; empty outside tests.
    pub(super) origins_cleared_at: HashMap<String, Timestamp>,
}

impl State {
    /// The token of a key as these clocks see it.
    pub(super) fn lookup(&mut self, key: &CacheKey, now: WallClocks) -> Lookup {
        if !key.is_thread_local() {
            return self.cache.lookup(key, now);
        }
        // Who wanted another token than the one that all threads see is not given that again.
        let may_share = !self.invalidated_at.contains_key(key);
        self.cache.lookup_thread_local(key, now, may_share)
    }

    /// A flight of this key that brings what is wanted.
    pub(super) fn find_shareable(
        &self,
        key: &CoalescingKey,
        reason: &AcquisitionTrigger,
        called_at: WallClocks,
    ) -> Option<Arc<InFlightRequest>> {
        // Who wants another token than the cached one has nothing of a flight that is older than it.
        let wants_another = matches!(
            reason,
            AcquisitionTrigger::ForceRefresh | AcquisitionTrigger::ClaimsChallenge(_)
        );
        let held = self.cache.sequence(&key.cache_key).filter(|_| wants_another);
        let brings_what_is_wanted = |in_flight: &&Arc<InFlightRequest>| {
            reason.can_share(&in_flight.trigger, key.persistent_store.is_some())
                && !in_flight.superseded.load(Ordering::Relaxed)
                && held.is_none_or(|held| in_flight.sequence > held)
                // A test has moved its clock on: on that, a token dated by the earlier time may have expired already.
                && !(key.cache_key.is_thread_local() && called_at.were_set_ahead_since(in_flight.offset_ms))
        };
        self.in_flight
            .get(key)?
            .iter()
            .find(brings_what_is_wanted)
            .cloned()
    }

    /// What was kept outside of this process before that is not wanted any more.
    pub(super) fn invalidated_before(&self, key: &CacheKey) -> Option<Timestamp> {
        let origins = self.origins_cleared_at.iter();
        let origin_cleared_at = origins
            .filter(|(origin, _)| key.has_origin(origin))
            .map(|(_, cleared)| *cleared)
            .max();
        self.cleared_at
            .max(self.invalidated_at.get(key).copied())
            .max(origin_cleared_at)
    }

    /// Whether a token that was kept outside of this process comes too late: the cache has had a later one since, or
    /// somebody another one.
    pub(super) fn is_stale_record(&self, key: &CacheKey, token: &Token, saved_at: Timestamp) -> bool {
        let unwanted = self
            .invalidated_before(key)
            .is_some_and(|before| saved_at <= before);
        unwanted
            || self
                .cache
                .expires_on(key)
                .is_some_and(|ends| ends >= token.expires_on)
    }

    /// Nobody wants what was there before `began`.
    pub(super) fn invalidate_before(&mut self, key: &CacheKey, began: Timestamp, now: Timestamp) {
        if self.invalidated_at.len() >= INVALIDATION_SWEEP_THRESHOLD {
            let oldest = now.saturating_sub(MAX_TOKEN_LIFETIME);
            self.invalidated_at.retain(|_, began| *began > oldest);
        }
        self.invalidated_at.insert(key.clone(), began);
    }

    /// Nothing that an earlier flight for this key brings is to be cached.
    pub(super) fn mark_superseded(&self, key: &CacheKey, number: u64) {
        let flights = self.in_flight.iter().filter(|(other, _)| other.cache_key == *key);
        for in_flight in flights.flat_map(|(_, flights)| flights) {
            if in_flight.sequence < number {
                in_flight.superseded.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Removes the tokens of the endpoints of an origin. No later call joins a request in flight there, and no token of
    /// one is stored.
    pub(super) fn clear_origin(&mut self, origin: &str, now: Timestamp) {
        self.cache.remove_origin(origin);
        self.in_flight.retain(|key, requests| {
            let is_kept = !key.cache_key.has_origin(origin);
            if !is_kept {
                for request in requests {
                    request.superseded.store(true, Ordering::Relaxed);
                }
            }
            is_kept
        });
        let oldest = now.saturating_sub(MAX_TOKEN_LIFETIME);
        self.origins_cleared_at.retain(|_, cleared| *cleared > oldest);
        self.origins_cleared_at.insert(origin.to_owned(), now);
    }

    /// From now on nobody joins it.
    pub(super) fn remove(&mut self, key: &CoalescingKey, in_flight: &Arc<InFlightRequest>) {
        if let Some(flights) = self.in_flight.get_mut(key) {
            flights.retain(|other| !Arc::ptr_eq(other, in_flight));
            if flights.is_empty() {
                self.in_flight.remove(key);
            }
        }
    }
}
