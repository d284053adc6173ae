//! The persistent cache, for tokens that must outlive the process.
//!
//! This module defines the record of a token and validates it: current version, same key and host, intact checksum,
//! newer than the last clear. An invalid record is treated as missing. A [`RecordStore`] keeps the records: files in a
//! directory, or a caller's plug-in.

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

/// The version of the record format. Records of another version are ignored.
const VERSION: u32 = 1;
/// The files with the id of a Linux machine (machine-id(5), and D-Bus on older systems).
const MACHINE_ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
const MAX_MACHINE_ID_BYTES: usize = 256;
/// The queue of the blocking pool in which the machine id is read.
const MACHINE_ID_QUEUE: &str = "the machine's id";

/// A boxed future, for the methods of a trait that is used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The exclusive lock of an entry, which is released on drop.
pub type LockGuard = Box<dyn Send + Sync>;

/// Stores records by name. Failures are ignored, except an unsafe location, which is reported as an error.
pub trait RecordStore: Send + Sync {
    /// Returns an id that distinguishes stores. Callers share an in-flight request only if they share the store.
    fn id(&self) -> &str;

    /// Prepares the store. Returns an error if the location is unsafe, and `false` if its safety cannot be determined.
    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>>;

    /// Waits for the lock of an entry, which other processes respect. Returns `None` if the store does not support
    /// locks.
    fn lock<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<LockGuard>>;

    /// Reads the record of an entry.
    fn load<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<Zeroizing<String>>>;

    /// Writes the record of an entry. An empty record replaces one that must not be used any more.
    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> BoxFuture<'a, ()>;
}

/// A store, and the name of the host that its tokens belong to.
#[derive(Clone)]
pub struct PersistentCache {
    /// The store of the records.
    pub store: Arc<dyn RecordStore>,
    /// The name of this host.
    pub hostname: String,
}

/// The identity of a token's record.
pub struct RecordId {
    /// The name of the record.
    pub entry: String,
    key: String,
    host: String,
}

/// The JSON form of a token in a store.
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
    /// Computes the id of a token's record on this host, on the blocking pool, because a file is read. Returns `None` if
    /// that fails.
    pub async fn compute(
        key: &CacheKey,
        persistent_cache: &PersistentCache,
        platform: &Platform,
    ) -> Option<Self> {
        let (key, persistent_cache, work_platform) =
            (key.clone(), persistent_cache.clone(), platform.clone());
        let compute = move || Self::new(&key, &persistent_cache, &work_platform);
        platform.blocking.run(MACHINE_ID_QUEUE, compute).await
    }

    /// Computes the id of a token's record on this host. Reads a file.
    fn new(key: &CacheKey, persistent_cache: &PersistentCache, platform: &Platform) -> Self {
        let key = key.canonical_string();
        let host = sha256_of_parts(&[&machine_id(platform), &persistent_cache.hostname]);
        Self {
            entry: sha256_of_parts(&[&key, &host]),
            key,
            host,
        }
    }

    /// Encodes a token as a record that is saved at `now`.
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
        // A record of strings and numbers can always be serialized.
        Zeroizing::new(serde_json::to_string(&record).unwrap_or_default())
    }

    /// Decodes and validates a record. Returns its token and the time at which it was saved, which must be after `since`
    /// and not in the future.
    pub fn decode(
        &self,
        record: &str,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<(Token, Timestamp)> {
        let record: Record<'_> = serde_json::from_str(record).ok()?;
        let saved_at = Timestamp::from_millis(record.saved_at_ms);
        let is_valid = record.version == VERSION
            && record.key == self.key
            && record.host == self.host
            && record.checksum == record.checksum()
            && since.is_none_or(|since| saved_at > since)
            && saved_at <= now;
        let token = is_valid.then(|| Token {
            secret: Secret::new(record.access_token.into_owned()),
            // Earlier versions of this package did not limit the lifetime.
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
        let numbers = format!(
            "{} {} {} {:?}",
            self.version, self.saved_at_ms, self.expires_on_ms, self.refresh_on_ms
        );
        sha256_of_parts(&[&numbers, &self.key, &self.host, &self.access_token])
    }
}

/// Returns the expiry of a record of any host and key; `None` if the record cannot be parsed.
pub(super) fn record_expiry(record: &str) -> Option<Timestamp> {
    let record: Record<'_> = serde_json::from_str(record).ok()?;
    Some(Timestamp::from_millis(record.expires_on_ms))
}

/// Returns the id of a Linux machine. It is empty on other systems, where only the host name distinguishes machines.
fn machine_id(platform: &Platform) -> String {
    let read = |path: &&str| {
        platform
            .files
            .read(Path::new(path), MAX_MACHINE_ID_BYTES, true)
            .ok()
    };
    let id = MACHINE_ID_FILES.iter().find_map(read).unwrap_or_default();
    String::from_utf8_lossy(&id).trim().to_owned()
}

/// Returns the SHA-256 of several parts. The length of each part precedes it, so that different lists have different
/// digests.
fn sha256_of_parts(parts: &[&str]) -> String {
    let mut joined = Zeroizing::new(String::new());
    for part in parts {
        let _ = write!(joined, "{}:{part}", part.len());
    }
    sha256_hex(joined.as_bytes())
}

#[cfg(test)]
mod tests;
