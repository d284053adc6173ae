//! The use of the persistent cache by an acquisition: a token is loaded from it before the source is requested, and a
//! fetched token is written to it. A store that fails or hangs never withholds a token.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::task::{AcquisitionTask, FetchedToken, PersistentUpdate, Stop};
use crate::acquisition::trigger::AcquisitionTrigger;
use crate::cache::persistent::{LockGuard, PersistentCache, RecordId};
use crate::error::Error;
use crate::token::{Freshness, Timestamp, Token};

/// The time limit of a lookup. A lookup also ends after half of the time that the callers have left.
const PERSISTENT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The entry of a token in the persistent cache, while an acquisition uses it.
pub(super) struct PersistentEntry<'a> {
    cache: &'a PersistentCache,
    record_id: RecordId,
    lock: Option<LockGuard>,
    /// A token near expiry that was loaded, and when it was saved.
    stale_token: Option<(Arc<Token>, Timestamp)>,
    /// Whether the store can hold tokens safely.
    is_usable: bool,
    /// The end of the lookup.
    looked_up_at: Timestamp,
}

impl AcquisitionTask {
    /// Looks the token up in the persistent cache, if there is one, and otherwise requests it from the source. Returns
    /// the entry to which a fetched token is to be written.
    pub(super) async fn acquire(&self) -> Result<(FetchedToken, Option<PersistentEntry<'_>>), Stop> {
        let Some(persistent_cache) = &self.context.application.persistent_cache else {
            return Ok((self.fetch_token().await?, None));
        };
        let started_at = Instant::now();
        let until = started_at + PERSISTENT_LOOKUP_TIMEOUT.min(self.in_flight.deadline.remaining() / 2);
        let computing = RecordId::compute(
            &self.context.key.cache_key,
            persistent_cache,
            &self.client.platform,
        );
        let Ok(Some(record_id)) = timeout_at(until, computing).await else {
            self.in_flight.stats.add_cache_time(started_at.elapsed());
            return Ok((self.fetch_token().await?, None));
        };
        let mut entry = PersistentEntry {
            cache: persistent_cache,
            record_id,
            lock: None,
            stale_token: None,
            is_usable: false,
            looked_up_at: self.context.started_at,
        };
        let found = timeout_at(until, self.lookup_persistent(&mut entry)).await;
        self.in_flight.stats.add_cache_time(started_at.elapsed());
        entry.looked_up_at = self.wall_clocks().system;
        match found {
            Ok(Err(error)) => Err(self.in_flight.error_context.with_source(error, 0).into()),
            Ok(Ok(Some(loaded))) => Ok((loaded, None)),
            Ok(Ok(None)) | Err(_) => match (self.fetch_token().await, &entry.stale_token) {
                // A valid token is better than an error.
                (Err(_), Some((token, saved_at))) if token.is_valid(self.wall_clocks()) => Ok((
                    FetchedToken::from_persistent_cache(token.clone(), *saved_at),
                    None,
                )),
                (fetched, _) => Ok((fetched?, entry.is_usable.then_some(entry))),
            },
        }
    }

    /// Looks the token up. On a miss, the lock that the entry then holds makes this process the only one that requests
    /// a new token, if the store supports locks.
    async fn lookup_persistent(
        &self,
        entry: &mut PersistentEntry<'_>,
    ) -> Result<Option<FetchedToken>, Error> {
        let store = &entry.cache.store;
        entry.is_usable = store.prepare().await?;
        if !entry.is_usable {
            return Ok(None);
        }
        if let Some(loaded) = self.load_persistent(entry).await {
            return Ok(Some(loaded));
        }
        entry.lock = store.lock(&entry.record_id.entry).await;
        match entry.lock {
            // The process that held the lock before may have written a token.
            Some(_) => Ok(self.load_persistent(entry).await),
            None => Ok(None),
        }
    }

    /// Loads a token that may be returned. A token near expiry becomes the fallback of the waiters instead.
    async fn load_persistent(&self, entry: &mut PersistentEntry<'_>) -> Option<FetchedToken> {
        let is_refresh = match self.in_flight.trigger {
            // The record may hold the very token that the caller rejects.
            AcquisitionTrigger::ForceRefresh | AcquisitionTrigger::ClaimsChallenge(_) => return None,
            AcquisitionTrigger::BackgroundRefresh => true,
            AcquisitionTrigger::CacheMiss => false,
        };
        let PersistentEntry { cache, record_id, .. } = entry;
        let record = cache.store.load(&record_id.entry).await?;
        let clocks = self.wall_clocks();
        let since = self.client.lock().invalidated_before(&self.context.key.cache_key);
        let (token, saved_at) = record_id.decode(&record, since, clocks.system)?;
        let token = Arc::new(token);
        let loaded = FetchedToken::from_persistent_cache(token.clone(), saved_at);
        match token.freshness(
            clocks.latest(token.offset_ms),
            self.client.refresh_jitter(&self.context.key.cache_key),
        ) {
            Freshness::Fresh => Some(loaded),
            // A token that is itself due for a refresh does not count as a refresh.
            _ if is_refresh => None,
            Freshness::Stale => Some(loaded),
            Freshness::Expired => None,
            Freshness::NearExpiry => {
                self.in_flight.set_fallback(self.uncached_result(&loaded));
                entry.stale_token = Some((token, saved_at));
                None
            }
        }
    }

    /// Writes a token to the persistent cache or deletes its record, unless the request was superseded or the record is
    /// newer.
    pub(super) async fn persist(&self, update: PersistentUpdate, entry: PersistentEntry<'_>) {
        let PersistentEntry {
            cache,
            record_id,
            lock,
            looked_up_at,
            ..
        } = entry;
        let started_at = Instant::now();
        let now = self.client.platform.clock.now();
        // Another process may have stopped waiting for this lock, and written a token without it.
        if lock.is_some()
            && let Some(record) = cache.store.load(&record_id.entry).await
            && record_id.decode(&record, Some(looked_up_at), now).is_some()
        {
            return;
        }
        if !self.may_store(&self.client.lock()) {
            return;
        }
        let record = match update {
            PersistentUpdate::Store(token) => record_id.encode(&token, now),
            PersistentUpdate::Delete => Zeroizing::default(),
        };
        cache.store.save(&record_id.entry, record).await;
        drop(lock);
        self.in_flight.stats.add_cache_time(started_at.elapsed());
    }
}
