//! Removes what nothing needs any more from a folder of records: expired records, the locks of records that are gone,
//! and files that a writer that was killed has left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::persistent;
use crate::locking::lock;
use crate::platform::CheckedDirectory;
use crate::token::Timestamp;

/// The endings of a record's files.
pub(super) const RECORD: &str = "json";
pub(super) const LOCK: &str = "lock";
pub(super) const TEMPORARY: &str = "tmp";
/// The name of an entry is a SHA-256 in hexadecimal; nothing else in the folder is touched.
const NAME_LENGTH: usize = 64;

/// A process cleans a folder at most this often, when it writes there.
const INTERVAL: Duration = Duration::from_hours(1);
/// So many names are read, and so many entries looked at, each time.
const MAX_NAMES: usize = 10_000;
const MAX_ENTRIES: usize = 100;
/// No token lives longer, so what cannot be read can be removed then.
const MAX_RECORD_AGE: Duration = Duration::from_hours(48);
/// Writing takes milliseconds; no writer is still at it then.
const MAX_TEMPORARY_AGE: Duration = Duration::from_mins(10);

/// When this process last cleaned each folder.
static LAST_CLEANUPS: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// Returns whether a folder is to be cleaned, and counts it as cleaned then.
pub(super) fn is_due(folder: &str) -> bool {
    let mut cleaned = lock(&LAST_CLEANUPS);
    cleaned.retain(|_, at| at.elapsed() < INTERVAL);
    if cleaned.contains_key(folder) {
        return false;
    }
    cleaned.insert(folder.to_owned(), Instant::now());
    true
}

/// Cleans a folder. `start`, from 0 to 1, says where among its entries to begin, since not all may get their turn.
pub(super) fn clean(directory: &CheckedDirectory, now: Timestamp, start: f64) {
    let Ok(names) = directory.names(MAX_NAMES) else {
        return;
    };
    let entries: BTreeSet<&str> = names.iter().filter_map(|name| entry_of(name)).collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to the number of entries"
    )]
    let first = (entries.len() as f64 * start) as usize;
    let from_first = entries.iter().skip(first).chain(entries.iter().take(first));
    for entry in from_first.take(MAX_ENTRIES) {
        clean_entry(directory, entry, now);
    }
}

/// The entry that a file belongs to.
fn entry_of(name: &str) -> Option<&str> {
    let (entry, ending) = name.split_once('.')?;
    let is_entry = entry.len() == NAME_LENGTH && entry.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_entry && [RECORD, LOCK, TEMPORARY].contains(&ending)).then_some(entry)
}

fn clean_entry(directory: &CheckedDirectory, entry: &str, now: Timestamp) {
    let [record, lock, temporary] = [RECORD, LOCK, TEMPORARY].map(|ending| format!("{entry}.{ending}"));
    let is_older = |name: &str, age| {
        directory
            .modified(name)
            .is_none_or(|modified| modified.saturating_add(age) < now)
    };
    if is_older(&temporary, MAX_TEMPORARY_AGE) {
        let _ = directory.remove(&temporary);
    }
    let is_expired = || {
        let expires_on = directory
            .read(&record)
            .and_then(|record| persistent::record_expiry(str::from_utf8(&record).ok()?));
        match expires_on {
            Some(expires_on) => expires_on <= now,
            None => is_older(&record, MAX_RECORD_AGE),
        }
    };
    if !is_expired() {
        return;
    }
    // A process that holds the lock may be about to write a record.
    let Ok(Some(held)) = directory.try_lock(&lock) else {
        return;
    };
    if is_expired() && directory.remove(&record).is_ok() && cfg!(unix) {
        // Elsewhere an open file cannot be removed and locked under another name at the same time.
        let _ = directory.remove(&lock);
    }
    drop(held);
}

#[cfg(all(test, unix))]
mod tests;
