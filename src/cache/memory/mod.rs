//! The memory cache: the tokens of this process, and when each may be refreshed.
//!
//! It depends on neither sources, waiters nor the network. Its owner holds the lock; see
//! [`acquisition`](crate::acquisition).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::options::identity::Identity;
use crate::options::resource::Resource;
use crate::source::{Source, SourceName, TokenQuery};
use crate::token::{Freshness, Timestamp, Token, WallClocks};

/// The delay after the first failed refresh. It is also the interval between refreshes of a token near expiry, whether
/// they fail or not.
const INITIAL_BACKOFF: Duration = Duration::from_secs(30);
/// The longest delay after failed refreshes.
const MAX_BACKOFF: Duration = Duration::from_mins(5);
/// Expired tokens are removed when the cache reaches this size, and then whenever it has doubled since.
const INITIAL_SWEEP_THRESHOLD: usize = 64;

/// Everything that distinguishes one cached token from another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    source: SourceName,
    endpoint: String,
    partition: String,
    identity: Identity,
    capabilities: Option<String>,
    resource: Resource,
    /// The only thread that sees the token, if its clock is not the system's.
    thread: Option<u32>,
}

impl CacheKey {
    /// Creates the key of the token that a query requests.
    pub fn new(source: &dyn Source, query: &TokenQuery) -> Self {
        Self {
            source: source.name(),
            endpoint: source.endpoint().with_query(&[]).into(),
            partition: source.cache_partition().to_owned(),
            identity: query.identity.clone(),
            capabilities: query.capabilities.clone(),
            resource: query.resource.clone(),
            thread: None,
        }
    }

    /// Restricts the key to one thread; `None` stands for all threads.
    #[must_use]
    pub fn for_thread(mut self, thread: Option<u32>) -> Self {
        self.thread = thread;
        self
    }

    /// Returns whether only one thread sees the token.
    pub const fn is_thread_local(&self) -> bool {
        self.thread.is_some()
    }

    /// Returns whether the endpoint has this scheme, host and port.
    pub fn has_origin(&self, origin: &str) -> bool {
        self.endpoint
            .strip_prefix(origin)
            .is_some_and(|path| path.is_empty() || path.starts_with('/'))
    }

    /// Returns the key as a string, for a persistent cache.
    pub fn canonical_string(&self) -> String {
        let (kind, id) = match &self.identity {
            Identity::SystemAssigned => ("systemAssigned", ""),
            Identity::UserAssigned { kind, id } => (kind.option(), id.as_str()),
        };
        serde_json::json!([
            self.source.as_str(),
            self.endpoint,
            self.partition,
            kind,
            id,
            self.capabilities,
            self.resource.as_str()
        ])
        .to_string()
    }
}

/// The result of a lookup.
#[derive(Debug)]
pub enum Lookup {
    /// The cache has no valid token.
    Miss {
        /// Whether it had a token, which has expired.
        expired: bool,
    },
    /// A token to serve.
    Fresh(CachedToken),
    /// A token to serve while it is refreshed in the background.
    StaleWhileRevalidate(CachedToken),
    /// A token to serve only if a refresh fails or takes long.
    NearExpiry(CachedToken),
}

impl Lookup {
    /// Returns the valid token, with the end of its freshness.
    pub fn cached_token(self) -> Option<CachedToken> {
        match self {
            Self::Miss { .. } => None,
            Self::Fresh(stored) | Self::StaleWhileRevalidate(stored) | Self::NearExpiry(stored) => {
                Some(stored)
            }
        }
    }

    /// Returns the valid token.
    pub fn token(&self) -> Option<&Arc<Token>> {
        match self {
            Self::Miss { .. } => None,
            Self::Fresh(stored) | Self::StaleWhileRevalidate(stored) | Self::NearExpiry(stored) => {
                Some(&stored.token)
            }
        }
    }
}

/// A token, and how long it may be served without another lookup.
#[derive(Clone, Debug)]
pub struct CachedToken {
    /// The token.
    pub token: Arc<Token>,
    /// The end of its freshness.
    pub fresh_until: Timestamp,
}

#[derive(Clone)]
struct Entry {
    token: Arc<Token>,
    /// The number of the request that fetched the token; 0 for a token of a persistent cache. The token of an older
    /// request does not replace that of a newer one.
    sequence: u64,
    refresh_jitter: Duration,
    /// The end of the last attempt to replace the token. For a new token it is the time at which it was stored.
    last_attempt: Instant,
    /// The same time by the wall clock, which advances while a machine is suspended and when a test sets it ahead.
    last_attempt_at: Timestamp,
    /// How many attempts failed in a row.
    failures: u32,
}

impl Entry {
    /// Returns whether a background refresh may start.
    fn can_refresh(&self, now: Timestamp) -> bool {
        let doublings = self.failures.saturating_sub(1).min(8);
        let backoff = INITIAL_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF);
        self.failures == 0 || self.has_elapsed_since_attempt(backoff, now)
    }

    /// Returns whether a caller may wait for a refresh.
    fn can_block_on_refresh(&self, now: Timestamp) -> bool {
        self.has_elapsed_since_attempt(INITIAL_BACKOFF, now)
    }

    /// Returns whether this much time has passed since the last attempt, by either clock.
    fn has_elapsed_since_attempt(&self, delay: Duration, now: Timestamp) -> bool {
        self.last_attempt.elapsed() >= delay || now.saturating_duration_since(self.last_attempt_at) >= delay
    }

    fn cached_token(&self) -> CachedToken {
        CachedToken {
            token: self.token.clone(),
            fresh_until: self.token.fresh_until(self.refresh_jitter),
        }
    }
}

/// The memory cache.
pub struct Cache {
    entries: HashMap<CacheKey, Entry>,
    sweep_at: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            sweep_at: INITIAL_SWEEP_THRESHOLD,
        }
    }
}

impl Cache {
    /// Looks a token up, and removes it if it has expired. A token that all threads see and that has expired only by the
    /// caller's clock is kept.
    pub fn lookup(&mut self, key: &CacheKey, now: impl Into<WallClocks>) -> Lookup {
        let clocks = now.into();
        let Some(entry) = self.entries.get(key) else {
            return Lookup::Miss { expired: false };
        };
        let now = clocks.latest(entry.token.offset_ms);
        match entry.token.freshness(now, entry.refresh_jitter) {
            Freshness::Expired => {
                if key.is_thread_local() || entry.token.expires_on <= clocks.system {
                    self.entries.remove(key);
                }
                Lookup::Miss { expired: true }
            }
            Freshness::Stale if entry.can_refresh(now) => Lookup::StaleWhileRevalidate(entry.cached_token()),
            Freshness::NearExpiry if entry.can_block_on_refresh(now) => {
                Lookup::NearExpiry(entry.cached_token())
            }
            // Fresh, or the last attempt was too recent.
            Freshness::Fresh | Freshness::Stale | Freshness::NearExpiry => {
                Lookup::Fresh(entry.cached_token())
            }
        }
    }

    /// Looks up the token of one thread, whose clock is not the system's.
    ///
    /// With `may_share`, a newer token that all threads see is used as well. It is copied first, so that this clock does
    /// not affect the other threads.
    pub fn lookup_thread_local(&mut self, key: &CacheKey, now: WallClocks, may_share: bool) -> Lookup {
        let mut expired = false;
        let mut own = self.entries.get_mut(key);
        if let Some(own) = own.as_deref_mut()
            && now.were_set_back_since(own.token.offset_ms)
        {
            // From now on the token ages by the time that passes on this clock, as if it had just been fetched.
            own.token = Arc::new(own.token.with_clock_offset(now.offset_ms()));
        }
        let own = own.map(|own| own.sequence);
        let shared = self.entries.get(&key.clone().for_thread(None));
        if let Some(shared) = shared.filter(|shared| may_share && own.is_none_or(|own| shared.sequence > own))
        {
            // A clock that is ahead shortens the token's life. On a clock that was set back the token ages from now on.
            let token = shared.token.with_clock_offset(now.offset_ms().min(0));
            if token.is_valid(now) {
                let copy = Entry {
                    token: Arc::new(token),
                    ..shared.clone()
                };
                self.entries.insert(key.clone(), copy);
            } else {
                expired = true;
            }
        }
        match self.lookup(key, now) {
            Lookup::Miss { expired: false } => Lookup::Miss { expired },
            found => found,
        }
    }

    /// Stores a token, unless the cache has one of a later request; then it returns `None`. Otherwise it returns whether
    /// a token was replaced.
    ///
    /// `sequence` is the number of the request that fetched the token. `None` stands for a token of a persistent cache,
    /// which the token of any request replaces.
    pub fn insert(
        &mut self,
        key: CacheKey,
        token: Arc<Token>,
        sequence: Option<u64>,
        refresh_jitter: Duration,
        now: Timestamp,
    ) -> Option<bool> {
        let cached = self.entries.get(&key);
        if cached.is_some_and(|cached| sequence.is_some_and(|sequence| cached.sequence > sequence)) {
            return None;
        }
        let has_replaced = cached.is_some();
        self.entries.insert(
            key,
            Entry {
                token,
                sequence: sequence.unwrap_or(0),
                refresh_jitter,
                last_attempt: Instant::now(),
                last_attempt_at: now,
                failures: 0,
            },
        );
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| entry.token.expires_on > now);
            self.sweep_at = INITIAL_SWEEP_THRESHOLD.max(self.entries.len() * 2);
        }
        Some(has_replaced)
    }

    /// Returns the expiry of the token of a key.
    pub fn expires_on(&self, key: &CacheKey) -> Option<Timestamp> {
        self.entries.get(key).map(|entry| entry.token.expires_on)
    }

    /// Returns the number of the request that fetched the token of a key; 0 for a token of a persistent cache.
    pub fn sequence(&self, key: &CacheKey) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.sequence)
    }

    /// Removes a token, unless a later request fetched it. Returns whether a token was removed.
    pub fn remove(&mut self, key: &CacheKey, sequence: u64) -> bool {
        let is_removable = self
            .entries
            .get(key)
            .is_some_and(|cached| cached.sequence <= sequence);
        is_removable && self.entries.remove(key).is_some()
    }

    /// Records a failed refresh, which delays the next one.
    pub fn record_refresh_failure(&mut self, key: &CacheKey, now: impl Into<WallClocks>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failures = entry.failures.saturating_add(1);
            entry.last_attempt = Instant::now();
            entry.last_attempt_at = now.into().latest(entry.token.offset_ms);
        }
    }

    /// Removes the tokens of every endpoint on an origin.
    pub fn remove_origin(&mut self, origin: &str) {
        self.entries.retain(|key, _| !key.has_origin(origin));
    }

    /// Removes every token.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
