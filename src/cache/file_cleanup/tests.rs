//! What is removed from a folder of records, and what is not.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::*;
use crate::platform::{Clock, PrivateDirectory, SystemClock};

/// A folder of records for one test.
struct Folder {
    path: PathBuf,
    directory: CheckedDirectory,
    now: Timestamp,
}

#[expect(clippy::disallowed_methods, reason = "the tests lay out real files")]
impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("min-cleanup-{}-{nth}", std::process::id());
        let path = std::env::temp_dir()
            .canonicalize()
            .expect("a directory")
            .join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("made");
        let directory = PrivateDirectory::new(&path).check().expect("safe");
        let now = SystemClock.now();
        Self { path, directory, now }
    }

    /// A file that was last written to so long ago.
    fn put(&self, entry: u32, ending: &str, content: &str, age: Duration) {
        let path = self.path.join(name(entry, ending));
        std::fs::write(&path, content).expect("written");
        let written = SystemTime::now() - age;
        let file = std::fs::OpenOptions::new().write(true).open(path).expect("there");
        file.set_modified(written).expect("set");
    }

    /// A record whose token expires at this instant.
    fn record(&self, entry: u32, expires_on: Timestamp) {
        let record = format!(
            r#"{{"version":1,"key":"k","host":"h","saved_at_ms":0,"expires_on_ms":{},"refresh_on_ms":null,"access_token":"t","checksum":""}}"#,
            expires_on.millis()
        );
        self.put(entry, RECORD, &record, Duration::ZERO);
    }

    fn clean(&self) {
        clean(&self.directory, self.now, 0.5);
    }

    fn has(&self, entry: u32, ending: &str) -> bool {
        self.path.join(name(entry, ending)).exists()
    }

    fn count(&self) -> usize {
        self.directory.names(usize::MAX).expect("readable").len()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn name(entry: u32, ending: &str) -> String {
    format!("{entry:064x}.{ending}")
}

const HOUR: Duration = Duration::from_hours(1);
const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn expired_record_and_its_lock_are_removed() {
    let folder = Folder::new();
    folder.record(1, folder.now);
    folder.put(1, LOCK, "", NOW);
    folder.record(2, folder.now.saturating_add(HOUR));
    folder.put(2, LOCK, "", HOUR * 100);
    folder.record(3, folder.now.saturating_sub(HOUR));
    folder.clean();
    assert!(!folder.has(1, RECORD) && !folder.has(1, LOCK));
    assert!(folder.has(2, RECORD) && folder.has(2, LOCK));
    // It had no lock of its own, and has none now.
    assert!(!folder.has(3, RECORD) && !folder.has(3, LOCK));
}

#[tokio::test]
async fn orphaned_lock_is_removed_unless_held() {
    let folder = Folder::new();
    folder.put(1, LOCK, "", NOW);
    folder.put(2, LOCK, "", HOUR * 100);
    folder.record(2, folder.now.saturating_sub(HOUR));
    let held = folder.directory.try_lock(&name(2, LOCK)).expect("locked");
    folder.clean();
    assert!(!folder.has(1, LOCK));
    assert!(
        folder.has(2, LOCK) && folder.has(2, RECORD),
        "its holder is at work"
    );
    drop(held);
    folder.clean();
    assert_eq!(folder.count(), 0);
}

#[tokio::test]
async fn old_temporary_file_is_removed() {
    let folder = Folder::new();
    for (entry, age) in [(1, NOW), (2, HOUR)] {
        folder.put(entry, TEMPORARY, "{", age);
        folder.record(entry, folder.now.saturating_add(HOUR));
    }
    folder.put(3, TEMPORARY, "{", HOUR);
    folder.clean();
    assert!(folder.has(1, TEMPORARY) && folder.has(1, RECORD));
    assert!(!folder.has(2, TEMPORARY) && folder.has(2, RECORD));
    assert!(!folder.has(3, TEMPORARY) && !folder.has(3, LOCK));
}

#[tokio::test]
async fn unreadable_record_is_removed_after_the_maximum_lifetime() {
    let folder = Folder::new();
    folder.put(1, RECORD, "{", HOUR * 47);
    folder.put(2, RECORD, "{", HOUR * 49);
    folder.put(3, RECORD, "", HOUR * 49);
    folder.clean();
    assert!(folder.has(1, RECORD));
    assert!(!folder.has(2, RECORD) && !folder.has(3, RECORD));
}

#[tokio::test]
async fn unknown_files_are_kept() {
    let folder = Folder::new();
    let names = [
        "notes.json",
        "a.lock",
        &format!("{:063x}.tmp", 1),
        &format!("{:064x}.txt", 1),
    ];
    for other in names {
        std::os::unix::fs::symlink("nowhere", folder.path.join(other)).expect("a link");
    }
    folder.clean();
    assert_eq!(folder.count(), names.len());
}

#[tokio::test]
async fn cleanup_is_bounded_and_reaches_every_entry() {
    let folder = Folder::new();
    let entries = u32::try_from(MAX_ENTRIES).expect("few") + 50;
    for entry in 0..entries {
        folder.record(entry, folder.now.saturating_sub(HOUR));
    }
    clean(&folder.directory, folder.now, 0.9);
    assert_eq!(folder.count(), 50);
    clean(&folder.directory, folder.now, 0.9);
    assert_eq!(folder.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn directory_is_cleaned_once_an_hour() {
    assert!(is_due("/a folder") && !is_due("/a folder") && is_due("/another"));
    tokio::time::advance(INTERVAL).await;
    assert!(is_due("/a folder"));
}
