//! The tokens that this process holds, and when each may be asked for anew.
//!
//! Knows keys, ages and attempts, and nothing of sources, waiting or the network. Whoever holds it
//! locks it; see [`application`](crate::application). [`flight`] is the other half: what is under way. [`shelf`] and [`disk`] keep what must outlive the process.

pub mod disk;
mod disk_cleanup;
pub mod flight;
pub mod shelf;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::identity::Identity;
use crate::resource::Resource;
use crate::source::{Ask, Source, SourceName};
use crate::token::{Age, Timestamp, Token};

/// The first pause after a refresh that failed; also the pause between refreshes of a token that is
/// nearly expired, whatever came of them.
const BACK_OFF: Duration = Duration::from_secs(30);
/// No pause is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);
/// Expired tokens are swept out when the cache has grown to this, and to twice what was left then.
const SWEEP_FROM: usize = 64;

/// What makes one token another's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    source: SourceName,
    endpoint: String,
    scope: String,
    identity: Identity,
    capabilities: Option<String>,
    resource: Resource,
}

impl Key {
    /// The key of what is asked for.
    pub fn of(source: &dyn Source, ask: &Ask) -> Self {
        Self {
            source: source.name(),
            endpoint: source.endpoint().with_query(&[]).into(),
            scope: source.cache_scope().to_owned(),
            identity: ask.identity.clone(),
            capabilities: ask.capabilities.clone(),
            resource: ask.resource.clone(),
        }
    }

    /// The key in words, for a cache outside of this process.
    pub fn text(&self) -> String {
        let (kind, id) = match &self.identity {
            Identity::SystemAssigned => ("systemAssigned", ""),
            Identity::UserAssigned { kind, id } => (kind.option(), id.as_str()),
        };
        serde_json::json!([
            self.source.as_str(),
            self.endpoint,
            self.scope,
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
pub enum Found {
    /// Nothing that is valid.
    Nothing {
        /// Whether there was a token, which has expired.
        expired: bool,
    },
    /// A token to serve; nothing is to be done.
    Serve(Stored),
    /// A token to serve, and one to be had behind the caller.
    ServeAndRefresh(Stored),
    /// A token to serve if no other can be had at once.
    RefreshFirst(Stored),
}

impl Found {
    /// The valid token, and how long it may be served.
    pub fn stored(self) -> Option<Stored> {
        match self {
            Self::Nothing { .. } => None,
            Self::Serve(stored) | Self::ServeAndRefresh(stored) | Self::RefreshFirst(stored) => Some(stored),
        }
    }

    /// The valid token, if there is one.
    pub fn token(&self) -> Option<&Arc<Token>> {
        match self {
            Self::Nothing { .. } => None,
            Self::Serve(stored) | Self::ServeAndRefresh(stored) | Self::RefreshFirst(stored) => {
                Some(&stored.token)
            }
        }
    }
}

/// A token, and how long it may be served without another look.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The token.
    pub token: Arc<Token>,
    /// The end of its freshness.
    pub fresh_until: Timestamp,
}

struct Entry {
    token: Arc<Token>,
    /// The flight that brought it: an older flight's token does not replace a newer one's.
    flight: u64,
    spread: Duration,
    /// When the last attempt to replace it ended; for a new token, when it came.
    attempted: Instant,
    /// The same by the wall clock. A pause ends when one of the clocks says so: the other may have stood still.
    attempted_at: Timestamp,
    /// How many attempts failed in a row.
    failures: u32,
}

impl Entry {
    /// Whether a refresh behind a caller may start.
    fn may_refresh(&self, now: Timestamp) -> bool {
        let doublings = self.failures.saturating_sub(1).min(8);
        let back_off = BACK_OFF.saturating_mul(1 << doublings).min(LONGEST_BACK_OFF);
        self.failures == 0 || self.since_attempt(now) >= back_off
    }

    /// Whether a caller may be made to wait for another token.
    fn may_be_waited_for(&self, now: Timestamp) -> bool {
        self.since_attempt(now) >= BACK_OFF
    }

    fn since_attempt(&self, now: Timestamp) -> Duration {
        self.attempted.elapsed().max(now.since(self.attempted_at))
    }

    fn stored(&self) -> Stored {
        Stored {
            token: self.token.clone(),
            fresh_until: self.token.fresh_until(self.spread),
        }
    }
}

/// The tokens of this process.
pub struct Cache {
    entries: HashMap<Key, Entry>,
    sweep_at: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            sweep_at: SWEEP_FROM,
        }
    }
}

impl Cache {
    /// Looks a key up; an expired token is removed.
    pub fn find(&mut self, key: &Key, now: Timestamp) -> Found {
        let Some(entry) = self.entries.get(key) else {
            return Found::Nothing { expired: false };
        };
        match entry.token.age(now, entry.spread) {
            Age::Expired => {
                self.entries.remove(key);
                Found::Nothing { expired: true }
            }
            Age::Ageing if entry.may_refresh(now) => Found::ServeAndRefresh(entry.stored()),
            Age::NearlyExpired if entry.may_be_waited_for(now) => Found::RefreshFirst(entry.stored()),
            // Fresh, or the last attempt was too short a while ago.
            Age::Fresh | Age::Ageing | Age::NearlyExpired => Found::Serve(entry.stored()),
        }
    }

    /// Stores what a flight brought, unless a later flight brought something already. Tells whether
    /// it took another token's place. `None` instead of the flight: it was found outside of this process, and the token
    /// of any flight takes its place.
    pub fn store(
        &mut self,
        key: Key,
        token: Arc<Token>,
        flight: Option<u64>,
        spread: Duration,
        now: Timestamp,
    ) -> Option<bool> {
        let held = self.entries.get(&key);
        if held.is_some_and(|held| flight.is_some_and(|flight| held.flight > flight)) {
            return None;
        }
        let replaced = held.is_some();
        self.entries.insert(
            key,
            Entry {
                token,
                flight: flight.unwrap_or(0),
                spread,
                attempted: Instant::now(),
                attempted_at: now,
                failures: 0,
            },
        );
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| entry.token.expires_on > now);
            self.sweep_at = SWEEP_FROM.max(self.entries.len() * 2);
        }
        Some(replaced)
    }

    /// Until when the token of a key is valid.
    pub fn ends(&self, key: &Key) -> Option<Timestamp> {
        self.entries.get(key).map(|entry| entry.token.expires_on)
    }

    /// The flight that brought the token of a key; 0 for one that was found outside of this process.
    pub fn flight(&self, key: &Key) -> Option<u64> {
        self.entries.get(key).map(|entry| entry.flight)
    }

    /// Forgets a token, unless a later flight brought it. Tells whether there was one.
    pub fn forget(&mut self, key: &Key, flight: u64) -> bool {
        let older = self.entries.get(key).is_some_and(|held| held.flight <= flight);
        older && self.entries.remove(key).is_some()
    }

    /// Notes that no other token could be had: the next attempt is put off.
    pub fn failed(&mut self, key: &Key, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failures = entry.failures.saturating_add(1);
            entry.attempted = Instant::now();
            entry.attempted_at = now;
        }
    }

    /// Forgets every token.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
