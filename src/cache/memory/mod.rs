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
use crate::platform::WallClocks;
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
    /// The thread that alone sees the token, since its clock is not the system's.
    thread: Option<u32>,
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
            thread: None,
        }
    }

    /// The key of the same token for one thread alone, or for all.
    #[must_use]
    pub fn of_thread(mut self, thread: Option<u32>) -> Self {
        self.thread = thread;
        self
    }

    /// Whether one thread alone sees the token.
    pub const fn is_of_one_thread(&self) -> bool {
        self.thread.is_some()
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

#[derive(Clone)]
struct Entry {
    token: Arc<Token>,
    /// The flight that brought it: an older flight's token does not replace a newer one's.
    flight: u64,
    spread: Duration,
    /// When the last attempt to replace it ended; for a new token, when it came.
    attempted: Instant,
    /// The same by the wall clocks, which go on while a machine sleeps and when a test moves them.
    attempted_at: Timestamp,
    /// How many attempts failed in a row.
    failures: u32,
}

impl Entry {
    /// Whether a refresh behind a caller may start.
    fn may_refresh(&self, now: Timestamp) -> bool {
        let doublings = self.failures.saturating_sub(1).min(8);
        let back_off = BACK_OFF.saturating_mul(1 << doublings).min(LONGEST_BACK_OFF);
        self.failures == 0 || self.has_paused(back_off, now)
    }

    /// Whether a caller may be made to wait for another token.
    fn may_be_waited_for(&self, now: Timestamp) -> bool {
        self.has_paused(BACK_OFF, now)
    }

    /// Whether so much time has passed since the last attempt, by any clock.
    fn has_paused(&self, pause: Duration, now: Timestamp) -> bool {
        self.attempted.elapsed() >= pause || now.since(self.attempted_at) >= pause
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
    /// Looks a key up. A token that has expired is removed, unless only the clock of one caller says so and others
    /// see the token too.
    pub fn find(&mut self, key: &Key, now: impl Into<WallClocks>) -> Found {
        let clocks = now.into();
        let Some(entry) = self.entries.get(key) else {
            return Found::Nothing { expired: false };
        };
        let now = clocks.latest(entry.token.offset_ms);
        match entry.token.age(now, entry.spread) {
            Age::Expired => {
                if key.is_of_one_thread() || entry.token.expires_on <= clocks.system {
                    self.entries.remove(key);
                }
                Found::Nothing { expired: true }
            }
            Age::Ageing if entry.may_refresh(now) => Found::ServeAndRefresh(entry.stored()),
            Age::NearlyExpired if entry.may_be_waited_for(now) => Found::RefreshFirst(entry.stored()),
            // Fresh, or the last attempt was too short a while ago.
            Age::Fresh | Age::Ageing | Age::NearlyExpired => Found::Serve(entry.stored()),
        }
    }

    /// Looks up the key of one thread, whose clock is not the system's. `may_share`: the token that all threads see
    /// will do, too. It is copied, so that what happens by this clock does not reach the others.
    pub fn find_of_thread(&mut self, key: &Key, now: WallClocks, may_share: bool) -> Found {
        let mut expired = false;
        let mut own = self.entries.get_mut(key);
        if let Some(own) = own.as_deref_mut()
            && now.were_set_back_since(own.token.offset_ms)
        {
            // From here on it ages by the time that passes on this clock, as if it had come now.
            own.token = Arc::new(own.token.dated(now.offset_ms()));
        }
        let own = own.map(|own| own.flight);
        let common = self.entries.get(&key.clone().of_thread(None));
        if let Some(common) = common.filter(|common| may_share && own.is_none_or(|own| common.flight > own)) {
            // A clock that is ahead has aged it. On one that was set back it ages from now on.
            let token = common.token.dated(now.offset_ms().min(0));
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
        match self.find(key, now) {
            Found::Nothing { expired: false } => Found::Nothing { expired },
            found => found,
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
    pub fn failed(&mut self, key: &Key, now: impl Into<WallClocks>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failures = entry.failures.saturating_add(1);
            entry.attempted = Instant::now();
            entry.attempted_at = now.into().latest(entry.token.offset_ms);
        }
    }

    /// Forgets every token.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
