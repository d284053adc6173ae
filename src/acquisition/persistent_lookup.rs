//! A flight and the cache outside of this process: what is there is taken before the source is asked, and what the
//! source gave is kept there. Nothing that goes wrong in it, or never ends, withholds a token.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::task::{AcquisitionTask, FetchedToken, PersistentUpdate, Stop};
use crate::acquisition::trigger::AcquisitionTrigger;
use crate::cache::persistent::{LockGuard, PersistentCache, RecordId};
use crate::error::Error;
use crate::token::{Freshness, Timestamp, Token};

/// The cache may take so long, or half of the time that is left, before the source is asked.
const PERSISTENT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// A token's place in a cache outside of this process, held while the flight works at it.
pub(super) struct PersistentEntry<'a> {
    cache: &'a PersistentCache,
    record_id: RecordId,
    lock: Option<LockGuard>,
    /// A valid token from there, but not for long, and when it was kept.
    stale_token: Option<(Arc<Token>, Timestamp)>,
    /// Whether tokens are safe there.
    is_usable: bool,
    /// When the look ended.
    looked_up_at: Timestamp,
}

impl AcquisitionTask {
    /// Looks into the cache outside of this process, if there is one, then asks the source.
    pub(super) async fn acquire(&self) -> Result<(FetchedToken, Option<PersistentEntry<'_>>), Stop> {
        let Some(persistent_cache) = &self.context.application.persistent_cache else {
            return Ok((self.fetch_token().await?, None));
        };
        let looking = Instant::now();
        let until = looking + PERSISTENT_LOOKUP_TIMEOUT.min(self.in_flight.deadline.remaining() / 2);
        let found = RecordId::compute(
            &self.context.key.cache_key,
            persistent_cache,
            &self.client.platform,
        );
        let Ok(Some(place)) = timeout_at(until, found).await else {
            self.in_flight.stats.add_cache_time(looking.elapsed());
            return Ok((self.fetch_token().await?, None));
        };
        let mut shelving = PersistentEntry {
            cache: persistent_cache,
            record_id: place,
            lock: None,
            stale_token: None,
            is_usable: false,
            looked_up_at: self.context.started_at,
        };
        let looked = timeout_at(until, self.lookup_persistent(&mut shelving)).await;
        self.in_flight.stats.add_cache_time(looking.elapsed());
        shelving.looked_up_at = self.wall_clocks().system;
        match looked {
            Ok(Err(error)) => Err(self.in_flight.error_context.with_source(error, 0).into()),
            Ok(Ok(Some(brought))) => Ok((brought, None)),
            Ok(Ok(None)) | Err(_) => match (self.fetch_token().await, &shelving.stale_token) {
                // What is valid is not withheld because no other can be had.
                (Err(_), Some((spare, saved_at))) if spare.is_valid(self.wall_clocks()) => Ok((
                    FetchedToken::from_persistent_cache(spare.clone(), *saved_at),
                    None,
                )),
                (asked, _) => Ok((asked?, shelving.is_usable.then_some(shelving))),
            },
        }
    }

    /// Looks for a token in the cache outside of this process. Where there is none, whoever returns from here is the one
    /// process that asks for it, if the cache can see to that.
    async fn lookup_persistent(
        &self,
        shelving: &mut PersistentEntry<'_>,
    ) -> Result<Option<FetchedToken>, Error> {
        let store = &shelving.cache.store;
        shelving.is_usable = store.prepare().await?;
        if !shelving.is_usable {
            return Ok(None);
        }
        if let Some(brought) = self.load_persistent(shelving).await {
            return Ok(Some(brought));
        }
        shelving.lock = store.lock(&shelving.record_id.entry).await;
        match shelving.lock {
            // Whoever held it may have brought a token.
            Some(_) => Ok(self.load_persistent(shelving).await),
            None => Ok(None),
        }
    }

    /// A token from the cache outside of this process that would do here. One that is valid, but not for long, is left
    /// with the waiters for the time when no other can be had.
    async fn load_persistent(&self, shelving: &mut PersistentEntry<'_>) -> Option<FetchedToken> {
        // Who wants another token than the cached one does not want that of another process either.
        let refresh = match self.in_flight.trigger {
            AcquisitionTrigger::ForceRefresh | AcquisitionTrigger::ClaimsChallenge(_) => return None,
            AcquisitionTrigger::BackgroundRefresh => true,
            AcquisitionTrigger::CacheMiss => false,
        };
        let PersistentEntry {
            cache: persistent_cache,
            record_id: place,
            ..
        } = shelving;
        let record = persistent_cache.store.load(&place.entry).await?;
        let clocks = self.wall_clocks();
        let now = clocks.system;
        let since = self.client.lock().invalidated_before(&self.context.key.cache_key);
        let (token, saved_at) = place.decode(&record, since, now)?;
        let token = Arc::new(token);
        let brought = FetchedToken::from_persistent_cache(token.clone(), saved_at);
        match token.freshness(
            clocks.latest(token.offset_ms),
            self.client.refresh_jitter(&self.context.key.cache_key),
        ) {
            Freshness::Fresh => Some(brought),
            // What would only take the place of its like is no refresh.
            _ if refresh => None,
            Freshness::Stale => Some(brought),
            Freshness::Expired => None,
            Freshness::NearExpiry => {
                self.in_flight.set_fallback(self.uncached_result(&brought));
                shelving.stale_token = Some((token, saved_at));
                None
            }
        }
    }

    /// Has the cache outside of this process keep a token, unless it is no longer wanted, or a later one is there.
    pub(super) async fn persist(&self, keep: PersistentUpdate, shelving: PersistentEntry<'_>) {
        let PersistentEntry {
            cache: persistent_cache,
            record_id: place,
            lock: guard,
            looked_up_at: looked,
            ..
        } = shelving;
        let keeping = Instant::now();
        let now = self.client.platform.clock.now();
        // Somebody else may have lost patience with whoever holds the guard.
        if guard.is_some()
            && let Some(record) = persistent_cache.store.load(&place.entry).await
            && place.decode(&record, Some(looked), now).is_some()
        {
            return;
        }
        if !self.may_store(&self.client.lock()) {
            return;
        }
        let record = match keep {
            PersistentUpdate::Store(token) => place.encode(&token, now),
            PersistentUpdate::Delete => Zeroizing::default(),
        };
        persistent_cache.store.save(&place.entry, record).await;
        drop(guard);
        self.in_flight.stats.add_cache_time(keeping.elapsed());
    }
}
