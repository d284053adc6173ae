//! Which files a cleanup removes from a directory of records, and which it keeps.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::*;
use crate::platform::{Clock, PrivateDirectory, SystemClock};

/// A directory of records for one test.
struct TestDirectory {
    path: PathBuf,
    checked: CheckedDirectory,
    now: Timestamp,
}

#[expect(clippy::disallowed_methods, reason = "the tests create real files")]
impl TestDirectory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("min-cleanup-{}-{nth}", std::process::id());
        let path = std::env::temp_dir()
            .canonicalize()
            .expect("a directory")
            .join(name);
        let checked = PrivateDirectory::new(&path).check().expect("safe");
        let now = SystemClock.now();
        Self { path, checked, now }
    }

    /// Creates a file of this age.
    fn put(&self, entry: u32, extension: &str, content: &str, age: Duration) {
        let path = self.path.join(name(entry, extension));
        std::fs::write(&path, content).expect("written");
        let written = SystemTime::now() - age;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .expect("opened");
        file.set_modified(written).expect("set");
    }

    /// Creates a record whose token expires at this time.
    fn put_record(&self, entry: u32, expires_on: Timestamp) {
        let record = format!(
            r#"{{"version":1,"key":"k","host":"h","saved_at_ms":0,"expires_on_ms":{},"refresh_on_ms":null,"access_token":"t","checksum":""}}"#,
            expires_on.millis()
        );
        self.put(entry, RECORD, &record, Duration::ZERO);
    }

    /// Creates something with another name: a link to nowhere, which looks as if it did not exist. Windows reserves links
    /// for privileged users.
    fn put_other(&self, name: &str) {
        let path = self.path.join(name);
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", path).expect("a link");
        #[cfg(not(unix))]
        std::fs::write(path, "").expect("written");
    }

    fn clean(&self) {
        clean(&self.checked, self.now, 0.5);
    }

    fn has(&self, entry: u32, extension: &str) -> bool {
        self.path.join(name(entry, extension)).exists()
    }

    fn count(&self) -> usize {
        self.checked.names(usize::MAX).expect("readable").len()
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn name(entry: u32, extension: &str) -> String {
    format!("{entry:064x}.{extension}")
}

const HOUR: Duration = Duration::from_hours(1);
const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn expired_record_and_its_lock_are_removed() {
    let directory = TestDirectory::new();
    directory.put_record(1, directory.now);
    directory.put(1, LOCK, "", NOW);
    directory.put_record(2, directory.now.saturating_add(HOUR));
    directory.put(2, LOCK, "", HOUR * 100);
    directory.put_record(3, directory.now.saturating_sub(HOUR));
    directory.clean();
    assert!(!directory.has(1, RECORD) && !directory.has(1, LOCK));
    assert!(directory.has(2, RECORD) && directory.has(2, LOCK));
    // A lock file that the cleanup has created itself is removed, too.
    assert!(!directory.has(3, RECORD) && !directory.has(3, LOCK));
}

#[tokio::test]
async fn orphaned_lock_is_removed_unless_held() {
    let directory = TestDirectory::new();
    directory.put(1, LOCK, "", NOW);
    directory.put(2, LOCK, "", HOUR * 100);
    directory.put_record(2, directory.now.saturating_sub(HOUR));
    let guard = directory.checked.try_lock(&name(2, LOCK)).expect("locked");
    directory.clean();
    assert!(!directory.has(1, LOCK));
    assert!(
        directory.has(2, LOCK) && directory.has(2, RECORD),
        "the lock is held"
    );
    drop(guard);
    directory.clean();
    assert_eq!(directory.count(), 0);
}

#[tokio::test]
async fn old_temporary_file_is_removed() {
    let directory = TestDirectory::new();
    for (entry, age) in [(1, NOW), (2, HOUR)] {
        directory.put(entry, TEMPORARY, "{", age);
        directory.put_record(entry, directory.now.saturating_add(HOUR));
    }
    directory.put(3, TEMPORARY, "{", HOUR);
    directory.clean();
    assert!(directory.has(1, TEMPORARY) && directory.has(1, RECORD));
    assert!(!directory.has(2, TEMPORARY) && directory.has(2, RECORD));
    assert!(!directory.has(3, TEMPORARY) && !directory.has(3, LOCK));
}

#[tokio::test]
async fn unreadable_record_is_removed_after_the_maximum_lifetime() {
    let directory = TestDirectory::new();
    directory.put(1, RECORD, "{", HOUR * 47);
    directory.put(2, RECORD, "{", HOUR * 49);
    directory.put(3, RECORD, "", HOUR * 49);
    directory.clean();
    assert!(directory.has(1, RECORD));
    assert!(!directory.has(2, RECORD) && !directory.has(3, RECORD));
}

#[tokio::test]
async fn unknown_files_are_kept() {
    let directory = TestDirectory::new();
    let names = [
        "notes.json",
        "a.lock",
        &format!("{:063x}.tmp", 1),
        &format!("{:064x}.txt", 1),
    ];
    for other in names {
        directory.put_other(other);
    }
    directory.clean();
    assert_eq!(directory.count(), names.len());
}

#[tokio::test]
async fn cleanup_is_bounded_and_reaches_every_entry() {
    let directory = TestDirectory::new();
    let entries = u32::try_from(MAX_ENTRIES).expect("few") + 50;
    for entry in 0..entries {
        directory.put_record(entry, directory.now.saturating_sub(HOUR));
    }
    clean(&directory.checked, directory.now, 0.9);
    assert_eq!(directory.count(), 50);
    clean(&directory.checked, directory.now, 0.9);
    assert_eq!(directory.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn directory_is_cleaned_once_an_hour() {
    assert!(try_claim("/a") && !try_claim("/a") && try_claim("/b"));
    tokio::time::advance(INTERVAL).await;
    assert!(try_claim("/a"));
}
