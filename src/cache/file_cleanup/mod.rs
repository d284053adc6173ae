//! The cleanup of a directory of records: removes expired records, the lock files of removed records, and temporary files
//! of writers that were killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::persistent;
use crate::locking::lock;
use crate::platform::CheckedDirectory;
use crate::token::Timestamp;

/// The file name extensions of an entry.
pub(super) const RECORD: &str = "json";
pub(super) const LOCK: &str = "lock";
pub(super) const TEMPORARY: &str = "tmp";
/// The name of an entry is a SHA-256 in hexadecimal. Other files in the directory are left alone.
const NAME_LENGTH: usize = 64;

/// The time between two cleanups of a directory by one process. A cleanup accompanies a write.
const INTERVAL: Duration = Duration::from_hours(1);
/// The limits of one cleanup: how many names are read, and how many entries are examined.
const MAX_NAMES: usize = 10_000;
const MAX_ENTRIES: usize = 100;
/// The age from which a record that cannot be parsed is removed: the longest lifetime of a token.
const MAX_RECORD_AGE: Duration = Duration::from_hours(48);
/// The age from which a temporary file is removed. Writing a record takes milliseconds.
const MAX_TEMPORARY_AGE: Duration = Duration::from_mins(10);

/// When this process last cleaned each directory.
static LAST_CLEANUPS: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// Claims the next cleanup of a directory. Returns `false` if this process has cleaned it within the interval.
pub(super) fn try_claim(directory: &str) -> bool {
    let mut last_cleanups = lock(&LAST_CLEANUPS);
    last_cleanups.retain(|_, at| at.elapsed() < INTERVAL);
    if last_cleanups.contains_key(directory) {
        return false;
    }
    last_cleanups.insert(directory.to_owned(), Instant::now());
    true
}

/// Cleans a directory. `start`, from 0 to 1, is the position of the first entry to examine. A random position gives every
/// entry a chance, since a cleanup may not examine all of them.
pub(super) fn clean(directory: &CheckedDirectory, now: Timestamp, start: f64) {
    let Ok(names) = directory.names(MAX_NAMES) else {
        return;
    };
    let entries: BTreeSet<&str> = names.iter().filter_map(|name| entry_name(name)).collect();
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

/// Returns the entry that a file belongs to.
fn entry_name(file_name: &str) -> Option<&str> {
    let (entry, extension) = file_name.split_once('.')?;
    let is_entry = entry.len() == NAME_LENGTH && entry.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_entry && [RECORD, LOCK, TEMPORARY].contains(&extension)).then_some(entry)
}

fn clean_entry(directory: &CheckedDirectory, entry: &str, now: Timestamp) {
    let [record, lock, temporary] = [RECORD, LOCK, TEMPORARY].map(|extension| format!("{entry}.{extension}"));
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
    let Ok(Some(guard)) = directory.try_lock(&lock) else {
        return;
    };
    if is_expired() && directory.remove(&record).is_ok() {
        directory.remove_lock(&lock, guard);
    }
}

#[cfg(test)]
mod tests;
