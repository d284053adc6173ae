//! The state that all acquisitions share, behind one lock: the cached tokens, the in-flight requests, and the times
//! before which records of the persistent cache are stale.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::acquisition::in_flight::{CoalescingKey, InFlightRequest};
use crate::acquisition::trigger::AcquisitionTrigger;
use crate::cache::{Cache, CacheKey, Lookup};
use crate::token::{MAX_TOKEN_LIFETIME, Timestamp, Token, WallClocks};

/// Invalidations that no unexpired token can predate are removed once the map holds this many keys.
const INVALIDATION_SWEEP_THRESHOLD: usize = 1_024;

#[derive(Default)]
pub(super) struct State {
    pub(super) cache: Cache,
    pub(super) in_flight: HashMap<CoalescingKey, Vec<Arc<InFlightRequest>>>,
    /// The number of the request that was started last.
    pub(super) last_sequence: u64,
    /// How often the cache has been cleared.
    pub(super) epoch: u64,
    /// The time of the last clear.
    pub(super) cleared_at: Option<Timestamp>,
    /// The start of the last request that replaced an unwanted token of the key. Records saved before it are stale.
    pub(super) invalidated_at: HashMap<CacheKey, Timestamp>,
    /// When the tokens of an origin were cleared, by origin. Only tests clear single origins.
    pub(super) origins_cleared_at: HashMap<String, Timestamp>,
}

impl State {
    /// Looks a token up, as these clocks see it.
    pub(super) fn lookup(&mut self, key: &CacheKey, now: WallClocks) -> Lookup {
        if !key.is_thread_local() {
            return self.cache.lookup(key, now);
        }
        // A thread that has rejected the token of all threads must not get it again.
        let may_share = !self.invalidated_at.contains_key(key);
        self.cache.lookup_thread_local(key, now, may_share)
    }

    /// Returns an in-flight request that a caller with this key and trigger may join.
    pub(super) fn find_shareable(
        &self,
        key: &CoalescingKey,
        trigger: &AcquisitionTrigger,
        called_at: WallClocks,
    ) -> Option<Arc<InFlightRequest>> {
        // A caller that rejects the cached token must not join a request that started before that token was fetched.
        let rejects_cached_token = matches!(
            trigger,
            AcquisitionTrigger::ForceRefresh | AcquisitionTrigger::ClaimsChallenge(_)
        );
        let rejected = self
            .cache
            .sequence(&key.cache_key)
            .filter(|_| rejects_cached_token);
        let is_shareable = |in_flight: &&Arc<InFlightRequest>| {
            trigger.can_share(&in_flight.trigger, key.persistent_store.is_some())
                && !in_flight.superseded.load(Ordering::Relaxed)
                && rejected.is_none_or(|rejected| in_flight.sequence > rejected)
                // If a test has set its clock ahead since, a token dated by the earlier time may already have expired.
                && !(key.cache_key.is_thread_local() && called_at.were_set_ahead_since(in_flight.offset_ms))
        };
        self.in_flight.get(key)?.iter().find(is_shareable).cloned()
    }

    /// Returns the time up to which records of the persistent cache are stale.
    pub(super) fn invalidated_before(&self, key: &CacheKey) -> Option<Timestamp> {
        let origins = self.origins_cleared_at.iter();
        let origin_cleared_at = origins
            .filter(|(origin, _)| key.has_origin(origin))
            .map(|(_, cleared_at)| *cleared_at)
            .max();
        self.cleared_at
            .max(self.invalidated_at.get(key).copied())
            .max(origin_cleared_at)
    }

    /// Returns whether a token of the persistent cache must not replace the cached one: its record has been invalidated,
    /// or the cached token expires no sooner.
    pub(super) fn is_stale_record(&self, key: &CacheKey, token: &Token, saved_at: Timestamp) -> bool {
        let is_invalidated = self
            .invalidated_before(key)
            .is_some_and(|before| saved_at <= before);
        is_invalidated
            || self
                .cache
                .expires_on(key)
                .is_some_and(|expires_on| expires_on >= token.expires_on)
    }

    /// Makes every record stale that was saved before a request started.
    pub(super) fn invalidate_before(&mut self, key: &CacheKey, started_at: Timestamp, now: Timestamp) {
        if self.invalidated_at.len() >= INVALIDATION_SWEEP_THRESHOLD {
            let oldest = now.saturating_sub(MAX_TOKEN_LIFETIME);
            self.invalidated_at
                .retain(|_, invalidated_at| *invalidated_at > oldest);
        }
        self.invalidated_at.insert(key.clone(), started_at);
    }

    /// Prevents the tokens of requests before `sequence` from being cached.
    pub(super) fn mark_superseded(&self, key: &CacheKey, sequence: u64) {
        let of_key = self.in_flight.iter().filter(|(other, _)| other.cache_key == *key);
        for in_flight in of_key.flat_map(|(_, in_flight)| in_flight) {
            if in_flight.sequence < sequence {
                in_flight.superseded.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Removes the tokens of the endpoints of an origin. No later call joins a request that is in flight there, and the
    /// tokens of such requests are not cached.
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
        self.origins_cleared_at
            .retain(|_, cleared_at| *cleared_at > oldest);
        self.origins_cleared_at.insert(origin.to_owned(), now);
    }

    /// Removes a request, so that no further caller joins it.
    pub(super) fn remove(&mut self, key: &CoalescingKey, in_flight: &Arc<InFlightRequest>) {
        if let Some(of_key) = self.in_flight.get_mut(key) {
            of_key.retain(|other| !Arc::ptr_eq(other, in_flight));
            if of_key.is_empty() {
                self.in_flight.remove(key);
            }
        }
    }
}
