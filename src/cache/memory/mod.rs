//! The tokens that this process holds, and when each may be asked for anew.
//!
//! Knows keys, ages and attempts, and nothing of sources, waiting or the network. Whoever holds it
//! locks it; see [`acquisition`](crate::acquisition).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::options::identity::Identity;
use crate::options::resource::Resource;
use crate::source::{Source, SourceName, TokenQuery};
use crate::token::{Freshness, Timestamp, Token, WallClocks};

/// The first pause after a refresh that failed; also the pause between refreshes of a token that is
/// nearly expired, whatever came of them.
const INITIAL_BACKOFF: Duration = Duration::from_secs(30);
/// No pause is longer.
const MAX_BACKOFF: Duration = Duration::from_mins(5);
/// Expired tokens are swept out when the cache has grown to this, and to twice what was left then.
const INITIAL_SWEEP_THRESHOLD: usize = 64;

/// What makes one token another's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    source: SourceName,
    endpoint: String,
    partition: String,
    identity: Identity,
    capabilities: Option<String>,
    resource: Resource,
    /// The thread that alone sees the token, since its clock is not the system's.
    thread: Option<u32>,
}

impl CacheKey {
    /// The key of what is asked for.
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

    /// The key of the same token for one thread alone, or for all.
    #[must_use]
    pub fn for_thread(mut self, thread: Option<u32>) -> Self {
        self.thread = thread;
        self
    }

    /// Whether one thread alone sees the token.
    pub const fn is_thread_local(&self) -> bool {
        self.thread.is_some()
    }

    /// Whether the endpoint has this scheme, host and port.
    pub fn has_origin(&self, origin: &str) -> bool {
        self.endpoint
            .strip_prefix(origin)
            .is_some_and(|path| path.is_empty() || path.starts_with('/'))
    }

    /// The key in words, for a cache outside of this process.
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

/// What the cache has for a key.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing that is valid.
    Miss {
        /// Whether there was a token, which has expired.
        expired: bool,
    },
    /// A token to serve; nothing is to be done.
    Fresh(CachedToken),
    /// A token to serve, and one to be had behind the caller.
    StaleWhileRevalidate(CachedToken),
    /// A token to serve if no other can be had at once.
    NearExpiry(CachedToken),
}

impl Lookup {
    /// The valid token, and how long it may be served.
    pub fn cached_token(self) -> Option<CachedToken> {
        match self {
            Self::Miss { .. } => None,
            Self::Fresh(stored) | Self::StaleWhileRevalidate(stored) | Self::NearExpiry(stored) => {
                Some(stored)
            }
        }
    }

    /// The valid token, if there is one.
    pub fn token(&self) -> Option<&Arc<Token>> {
        match self {
            Self::Miss { .. } => None,
            Self::Fresh(stored) | Self::StaleWhileRevalidate(stored) | Self::NearExpiry(stored) => {
                Some(&stored.token)
            }
        }
    }
}

/// A token, and how long it may be served without another look.
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
    /// The flight that brought it: an older flight's token does not replace a newer one's.
    sequence: u64,
    refresh_jitter: Duration,
    /// When the last attempt to replace it ended; for a new token, when it came.
    last_attempt: Instant,
    /// The same by the wall clocks, which go on while a machine sleeps and when a test moves them.
    last_attempt_at: Timestamp,
    /// How many attempts failed in a row.
    failures: u32,
}

impl Entry {
    /// Whether a refresh behind a caller may start.
    fn can_refresh(&self, now: Timestamp) -> bool {
        let doublings = self.failures.saturating_sub(1).min(8);
        let back_off = INITIAL_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF);
        self.failures == 0 || self.is_pause_over(back_off, now)
    }

    /// Whether a caller may be made to wait for another token.
    fn can_block_on_refresh(&self, now: Timestamp) -> bool {
        self.is_pause_over(INITIAL_BACKOFF, now)
    }

    /// Whether so much time has passed since the last attempt, by any clock.
    fn is_pause_over(&self, pause: Duration, now: Timestamp) -> bool {
        self.last_attempt.elapsed() >= pause || now.saturating_duration_since(self.last_attempt_at) >= pause
    }

    fn cached_token(&self) -> CachedToken {
        CachedToken {
            token: self.token.clone(),
            fresh_until: self.token.fresh_until(self.refresh_jitter),
        }
    }
}

/// The tokens of this process.
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
    /// Looks a key up. A token that has expired is removed, unless only the clock of one caller says so and others
    /// see the token too.
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
            // Fresh, or the last attempt was too short a while ago.
            Freshness::Fresh | Freshness::Stale | Freshness::NearExpiry => {
                Lookup::Fresh(entry.cached_token())
            }
        }
    }

    /// Looks up the key of one thread, whose clock is not the system's. `may_share`: the token that all threads see
    /// will do, too. It is copied, so that what happens by this clock does not reach the others.
    pub fn lookup_thread_local(&mut self, key: &CacheKey, now: WallClocks, may_share: bool) -> Lookup {
        let mut expired = false;
        let mut own = self.entries.get_mut(key);
        if let Some(own) = own.as_deref_mut()
            && now.were_set_back_since(own.token.offset_ms)
        {
            // From here on it ages by the time that passes on this clock, as if it had come now.
            own.token = Arc::new(own.token.with_clock_offset(now.offset_ms()));
        }
        let own = own.map(|own| own.sequence);
        let common = self.entries.get(&key.clone().for_thread(None));
        if let Some(common) = common.filter(|common| may_share && own.is_none_or(|own| common.sequence > own))
        {
            // A clock that is ahead has aged it. On one that was set back it ages from now on.
            let token = common.token.with_clock_offset(now.offset_ms().min(0));
            if token.is_valid(now) {
                let copy = Entry {
                    token: Arc::new(token),
                    ..common.clone()
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

    /// Stores what a flight brought, unless a later flight brought something already. Tells whether
    /// it took another token's place. `None` instead of the flight: it was found outside of this process, and the token
    /// of any flight takes its place.
    pub fn insert(
        &mut self,
        key: CacheKey,
        token: Arc<Token>,
        sequence: Option<u64>,
        spread: Duration,
        now: Timestamp,
    ) -> Option<bool> {
        let held = self.entries.get(&key);
        if held.is_some_and(|held| sequence.is_some_and(|sequence| held.sequence > sequence)) {
            return None;
        }
        let replaced = held.is_some();
        self.entries.insert(
            key,
            Entry {
                token,
                sequence: sequence.unwrap_or(0),
                refresh_jitter: spread,
                last_attempt: Instant::now(),
                last_attempt_at: now,
                failures: 0,
            },
        );
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| entry.token.expires_on > now);
            self.sweep_at = INITIAL_SWEEP_THRESHOLD.max(self.entries.len() * 2);
        }
        Some(replaced)
    }

    /// Until when the token of a key is valid.
    pub fn expires_on(&self, key: &CacheKey) -> Option<Timestamp> {
        self.entries.get(key).map(|entry| entry.token.expires_on)
    }

    /// The flight that brought the token of a key; 0 for one that was found outside of this process.
    pub fn sequence(&self, key: &CacheKey) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.sequence)
    }

    /// Forgets a token, unless a later flight brought it. Tells whether there was one.
    pub fn remove(&mut self, key: &CacheKey, sequence: u64) -> bool {
        let older = self
            .entries
            .get(key)
            .is_some_and(|held| held.sequence <= sequence);
        older && self.entries.remove(key).is_some()
    }

    /// Notes that no other token could be had: the next attempt is put off.
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

    /// Forgets every token.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
