//! Records as files: one for each key, in a folder of the user's own.
//!
//! The processes of a host make one request between them, since whoever works at an entry holds its lock. Files
//! may lie on a file system that hangs, so they are read and written on a thread of the pool.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::file_cleanup::{self, LOCK, RECORD, TEMPORARY};
use super::persistent::{BoxFuture, LockGuard, RecordStore};
use crate::error::{Code, Error};
use crate::platform::{BlockingPool, CheckedDirectory, DirectoryError, Platform, PrivateDirectory};

/// How often a lock that another process holds is tried again.
const INITIAL_LOCK_POLL: Duration = Duration::from_millis(5);
const MAX_LOCK_POLL: Duration = Duration::from_millis(100);

/// A folder of records.
pub struct FileStore {
    directory: PrivateDirectory,
    id: String,
    platform: Platform,
}

/// The lock of an entry. Its file is closed on a thread of the pool, since that can block as well.
struct HeldLock {
    file: Option<File>,
    place: String,
    pool: BlockingPool,
}

impl FileStore {
    /// The store in this folder, which must belong to the user that this process acts as when it is used.
    pub fn new(path: &Path, platform: Platform) -> Self {
        Self {
            directory: PrivateDirectory::new(path),
            id: path.display().to_string(),
            platform,
        }
    }

    /// Does something with the folder once it is checked, on a thread of the pool. `None` where that panicked.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CheckedDirectory) -> T + Send + 'static,
    ) -> Option<Result<T, DirectoryError>> {
        let folder = self.directory.clone();
        let checked = move || folder.check().map(|directory| work(&directory));
        self.platform.blocking.run(&self.id, checked).await
    }

    async fn poll_lock(&self, entry: &str) -> Option<LockGuard> {
        let mut look = INITIAL_LOCK_POLL;
        loop {
            let name = format!("{entry}.{LOCK}");
            let (place, pool) = (self.id.clone(), self.platform.blocking.clone());
            let lock = move |directory: &CheckedDirectory| {
                let file = directory.try_lock(&name)?;
                Ok(file.map(|file| HeldLock {
                    file: Some(file),
                    place,
                    pool,
                }))
            };
            let locked: std::io::Result<_> = self.run_blocking(lock).await?.ok()?;
            match locked {
                Ok(Some(lock)) => return Some(Box::new(lock)),
                Ok(None) => sleep(look).await,
                Err(_) => return None, // A file system without locks: each process asks for itself.
            }
            look = (look * 2).min(MAX_LOCK_POLL);
        }
    }

    /// The error for a folder in which tokens are not safe; `None` if it only cannot be used just now.
    fn untrusted_directory_error(&self, fault: &DirectoryError) -> Option<Error> {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};

        let why = match fault {
            DirectoryError::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => return None,
            DirectoryError::UnknownUser(_) => return None,
            DirectoryError::Io(error) => format!("cannot be used ({error})"),
            DirectoryError::NotADirectory => "is not a directory, or is a link to one".to_owned(),
            DirectoryError::WrongOwner => "belongs to another user".to_owned(),
            DirectoryError::TooPermissive => "is accessible to other users: give it the mode 0700".to_owned(),
            DirectoryError::ParentWrongOwner(parent) => format!(
                "lies below {}, which belongs to another user, who could replace it",
                parent.display()
            ),
            DirectoryError::ParentTooPermissive(parent) => format!(
                "lies below {}, to which others may write, so that they could replace it: remove that permission (chmod \
                 go-w), or use another directory",
                parent.display()
            ),
        };
        let message = format!("cache.directory ({}) {why}.", self.id);
        Some(Error::new(Code::InvalidConfiguration, message))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let (place, pool) = (std::mem::take(&mut self.place), self.pool.clone());
        // Without a runtime there are no timers that closing it could delay.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { pool.run(&place, move || drop(file)).await });
        }
    }
}

impl RecordStore for FileStore {
    fn id(&self) -> &str {
        &self.id
    }

    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async {
            match self.run_blocking(|_| ()).await {
                Some(Ok(())) => Ok(true),
                Some(Err(fault)) => self.untrusted_directory_error(&fault).map_or(Ok(false), Err),
                None => Ok(false),
            }
        })
    }

    fn lock<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<LockGuard>> {
        Box::pin(self.poll_lock(entry))
    }

    fn load<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<Zeroizing<String>>> {
        let name = format!("{entry}.{RECORD}");
        Box::pin(async move {
            let read = self
                .run_blocking(move |directory| directory.read(&name))
                .await?
                .ok()??;
            Some(Zeroizing::new(str::from_utf8(&read).ok()?.to_owned()))
        })
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> BoxFuture<'a, ()> {
        let (name, by_way_of) = (format!("{entry}.{RECORD}"), format!("{entry}.{TEMPORARY}"));
        let cleanup = file_cleanup::is_due(&self.id)
            .then(|| (self.platform.clock.now(), self.platform.random.next_fraction()));
        Box::pin(async move {
            // A disk that is full or read-only costs the next process a request, and this one nothing.
            let _ = self
                .run_blocking(move |directory| {
                    // First, since it may free what the record needs.
                    if let Some((now, start)) = cleanup {
                        file_cleanup::clean(directory, now, start);
                    }
                    directory.replace(&name, &by_way_of, record.as_bytes())
                })
                .await;
        })
    }
}
