//! Stores the token of a request in the memory cache, as [`store_decision`](super::store_decision) decides.

use std::sync::atomic::Ordering;

use super::outcome::AcquiredToken;
use super::state::State;
use super::store_decision::{Persist, StoreFacts};
use super::task::{AcquisitionTask, FetchedToken, PersistentUpdate};
use super::trigger::AcquisitionTrigger;
use crate::metadata::{Metadata, TokenSource};

impl AcquisitionTask {
    /// Stores a fetched token in memory, and returns it with the change to the persistent cache.
    ///
    /// No caller can join the request from here on: later callers find the token in the cache.
    pub(super) fn store(&self, fetched: FetchedToken) -> (AcquiredToken, Option<PersistentUpdate>) {
        let mut state = self.client.lock();
        state.remove(&self.context.key, &self.in_flight);
        let key = &self.context.key.cache_key;
        let clocks = self.wall_clocks();
        let now = clocks.system;
        let facts = self.store_facts(&state, &fetched);
        if facts.is_stale_record
            && let Some(stored) = state.cache.lookup(key, clocks).cached_token()
        {
            let metadata = Metadata {
                token_source: Some(TokenSource::Cache),
                ..self.in_flight.metadata()
            };
            let acquired = AcquiredToken::from_cache(stored, self.client.generation(), clocks, metadata);
            return (acquired, None);
        }
        let acquired = self.uncached_result(&fetched);
        let decision = facts.decide();
        let (sequence, jitter) = (self.in_flight.sequence, self.client.refresh_jitter(key));
        if decision.invalidate {
            state.invalidate_before(key, self.context.started_at, now);
        }
        let mut has_replaced = false;
        if decision.insert {
            let sequence = (!facts.is_persisted).then_some(sequence);
            let replaced = state
                .cache
                .insert(key.clone(), fetched.token.clone(), sequence, jitter, now);
            has_replaced = replaced == Some(true);
        }
        if decision.record_failure {
            state.cache.record_refresh_failure(key, clocks);
        }
        if decision.remove_unwanted {
            state.mark_superseded(key, sequence);
            has_replaced = state.cache.remove(key, sequence);
        }
        if has_replaced && decision.bump_generation && !key.is_thread_local() {
            self.client.generation.fetch_add(1, Ordering::Release);
        }
        let acquired = AcquiredToken {
            fresh_until: (decision.insert && !key.is_thread_local())
                .then(|| fetched.token.fresh_until(jitter))
                .filter(|until| *until > now),
            generation: self.client.generation(),
            ..acquired
        };
        let update = match decision.persist {
            Persist::Token => Some(PersistentUpdate::Store(fetched.token)),
            Persist::Deletion => Some(PersistentUpdate::Delete),
            Persist::Nothing => None,
        };
        (acquired, update)
    }

    fn store_facts(&self, state: &State, fetched: &FetchedToken) -> StoreFacts {
        let key = &self.context.key.cache_key;
        let cached_sequence = state.cache.sequence(key);
        StoreFacts {
            replaces_unwanted: StoreFacts::replaces_unwanted(&self.in_flight.trigger),
            is_background_refresh: self.in_flight.trigger == AcquisitionTrigger::BackgroundRefresh,
            is_cleared: self.in_flight.epoch != state.epoch,
            is_superseded: self.in_flight.superseded.load(Ordering::Relaxed),
            is_cacheable: fetched.cacheable,
            is_persisted: fetched.saved_at.is_some(),
            is_stale_record: fetched
                .saved_at
                .is_some_and(|saved_at| state.is_stale_record(key, &fetched.token, saved_at)),
            is_outdated: fetched.saved_at.is_none()
                && cached_sequence.is_some_and(|cached| cached > self.in_flight.sequence),
        }
    }

    /// Returns a token as a result that the JavaScript layer must not memoize.
    pub(super) fn uncached_result(&self, fetched: &FetchedToken) -> AcquiredToken {
        let from_cache = fetched.saved_at.is_some();
        AcquiredToken {
            token: fetched.token.clone(),
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
