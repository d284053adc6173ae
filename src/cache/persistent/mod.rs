//! A cache outside of this process, for tokens that must outlive it: a folder, or whatever a caller's plug-in keeps.
//!
//! Knows the record that a token is kept as, and when a record is to be believed: of this version, for this key and
//! this host, whole, and not from before the cache was cleared. A record that is not is as good as none. Where
//! records lie is the [`RecordStore`]'s affair.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::CacheKey;
use crate::encoding::sha256_hex;
use crate::error::Error;
use crate::platform::Platform;
use crate::token::{MAX_TOKEN_LIFETIME, Secret, Timestamp, Token};

/// The version of a record; another one is ignored.
const VERSION: u32 = 1;
/// Where Linux keeps the id of the machine.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
const MAX_MACHINE_ID_BYTES: usize = 256;
/// What reading the machine's id is called in the pool of threads.
const MACHINE_ID_QUEUE: &str = "the machine's id";

/// Something that takes a while.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever has it works at an entry alone.
pub type LockGuard = Box<dyn Send + Sync>;

/// Keeps records by name. What goes wrong in it is nobody's error but where nothing could be kept safely.
pub trait RecordStore: Send + Sync {
    /// Distinguishes stores: callers share a flight only if they share the store.
    fn id(&self) -> &str;

    /// Makes ready what records are kept in; an error if they would not be safe there, false if that cannot be told.
    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>>;

    /// Keeps other processes from working at the same entry until the guard goes; `None` if it cannot.
    fn lock<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<LockGuard>>;

    /// The record of this name.
    fn load<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<Zeroizing<String>>>;

    /// Keeps a record.
    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> BoxFuture<'a, ()>;
}

/// A store, and the host that its tokens belong to.
#[derive(Clone)]
pub struct PersistentCache {
    /// Where records lie.
    pub store: Arc<dyn RecordStore>,
    /// The name of this host.
    pub hostname: String,
}

/// One token's place on a shelf.
pub struct RecordId {
    /// The name of its record.
    pub entry: String,
    key: String,
    host: String,
}

/// A token as it is kept.
#[derive(Deserialize, Serialize)]
struct Record<'a> {
    version: u32,
    key: Cow<'a, str>,
    host: Cow<'a, str>,
    saved_at_ms: i64,
    expires_on_ms: i64,
    refresh_on_ms: Option<i64>,
    access_token: Cow<'a, str>,
    /// SHA-256 of everything else.
    checksum: Cow<'a, str>,
}

impl RecordId {
    /// Finds the place of a key's token on this host, on a thread of the pool.
    pub async fn compute(
        key: &CacheKey,
        persistent_cache: &PersistentCache,
        platform: &Platform,
    ) -> Option<Self> {
        let (key, persistent_cache, files) = (key.clone(), persistent_cache.clone(), platform.clone());
        let find = move || Self::new(&key, &persistent_cache, &files);
        platform.blocking.run(MACHINE_ID_QUEUE, find).await
    }

    /// The place of a key's token on this host. Reads a file.
    fn new(key: &CacheKey, persistent_cache: &PersistentCache, platform: &Platform) -> Self {
        let key = key.canonical_string();
        let host = sha256_of_parts(&[&machine_id(platform), &persistent_cache.hostname]);
        Self {
            entry: sha256_of_parts(&[&key, &host]),
            key,
            host,
        }
    }

    /// Writes a token down.
    pub fn encode(&self, token: &Token, now: Timestamp) -> Zeroizing<String> {
        let mut record = Record {
            version: VERSION,
            key: (&self.key).into(),
            host: (&self.host).into(),
            saved_at_ms: now.millis(),
            expires_on_ms: token.expires_on.millis(),
            refresh_on_ms: token.refresh_on.map(Timestamp::millis),
            access_token: token.secret.expose_secret().into(),
            checksum: Cow::default(),
        };
        record.checksum = record.checksum().into();
        // A record of strings and numbers can always be written.
        Zeroizing::new(serde_json::to_string(&record).unwrap_or_default())
    }

    /// Reads a token that was written down here, after `since` and not in the future, and when that was.
    pub fn decode(
        &self,
        record: &str,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<(Token, Timestamp)> {
        let record: Record<'_> = serde_json::from_str(record).ok()?;
        let saved_at = Timestamp::from_millis(record.saved_at_ms);
        let believed = record.version == VERSION
            && record.key == self.key
            && record.host == self.host
            && record.checksum == record.checksum()
            && since.is_none_or(|since| saved_at > since)
            && saved_at <= now;
        let token = believed.then(|| Token {
            secret: Secret::new(record.access_token.into_owned()),
            // An earlier version may have believed an endpoint that named a longer life.
            expires_on: Timestamp::from_millis(record.expires_on_ms)
                .min(saved_at.saturating_add(MAX_TOKEN_LIFETIME)),
            refresh_on: record.refresh_on_ms.map(Timestamp::from_millis),
            offset_ms: 0,
        })?;
        Some((token, saved_at))
    }
}

impl Record<'_> {
    fn checksum(&self) -> String {
        let figures = format!(
            "{} {} {} {:?}",
            self.version, self.saved_at_ms, self.expires_on_ms, self.refresh_on_ms
        );
        sha256_of_parts(&[&figures, &self.key, &self.host, &self.access_token])
    }
}

/// When the token of a record of any host and key expires; `None` if the record cannot be read.
pub(super) fn record_expiry(record: &str) -> Option<Timestamp> {
    let record: Record<'_> = serde_json::from_str(record).ok()?;
    Some(Timestamp::from_millis(record.expires_on_ms))
}

/// What Linux tells machines apart by; elsewhere the host's name must do.
fn machine_id(platform: &Platform) -> String {
    let read = |path: &&str| {
        platform
            .files
            .read(Path::new(path), MAX_MACHINE_ID_BYTES, true)
            .ok()
    };
    let found = MACHINE_IDS.iter().find_map(read).unwrap_or_default();
    String::from_utf8_lossy(&found).trim().to_owned()
}

/// Returns the SHA-256 of several parts. The length of each precedes it, so that no two lists have the same digest.
fn sha256_of_parts(parts: &[&str]) -> String {
    let mut whole = Zeroizing::new(String::new());
    for part in parts {
        let _ = write!(whole, "{}:{part}", part.len());
    }
    sha256_hex(whole.as_bytes())
}

#[cfg(test)]
mod tests;
