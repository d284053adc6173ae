//! The file store: one file for each record, in a directory that belongs to the user.
//!
//! A process holds the lock of an entry while it requests a token, so that the processes of a host share one request.
//! A file system may hang, so files are read and written on the blocking pool.

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

/// The delay before a lock that another process holds is tried again: at first, and at most after doubling.
const INITIAL_LOCK_POLL: Duration = Duration::from_millis(5);
const MAX_LOCK_POLL: Duration = Duration::from_millis(100);

/// A directory of records.
pub struct FileStore {
    directory: PrivateDirectory,
    id: String,
    platform: Platform,
}

/// The lock of an entry. Its file is closed on the blocking pool, since closing can block as well.
struct HeldLock {
    file: Option<File>,
    /// The id of the store, by which its work on the pool is queued.
    store_id: String,
    pool: BlockingPool,
}

impl FileStore {
    /// Creates a store in this directory. Each use checks that the directory belongs to the user of the process.
    pub fn new(path: &Path, platform: Platform) -> Self {
        Self {
            directory: PrivateDirectory::new(path),
            id: path.display().to_string(),
            platform,
        }
    }

    /// Checks the directory and runs `work` on it, on the blocking pool. Returns `None` if that panicked.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CheckedDirectory) -> T + Send + 'static,
    ) -> Option<Result<T, DirectoryError>> {
        let directory = self.directory.clone();
        let checked_work = move || directory.check().map(|checked| work(&checked));
        self.platform.blocking.run(&self.id, checked_work).await
    }

    async fn poll_lock(&self, entry: &str) -> Option<LockGuard> {
        let mut delay = INITIAL_LOCK_POLL;
        loop {
            let name = format!("{entry}.{LOCK}");
            let (store_id, pool) = (self.id.clone(), self.platform.blocking.clone());
            let lock = move |directory: &CheckedDirectory| {
                let file = directory.try_lock(&name)?;
                Ok(file.map(|file| HeldLock {
                    file: Some(file),
                    store_id,
                    pool,
                }))
            };
            let locked: std::io::Result<_> = self.run_blocking(lock).await?.ok()?;
            match locked {
                Ok(Some(lock)) => return Some(Box::new(lock)),
                Ok(None) => sleep(delay).await,
                Err(_) => return None, // A file system without locks: each process sends its own request.
            }
            delay = (delay * 2).min(MAX_LOCK_POLL);
        }
    }

    /// Returns the error for a directory in which tokens are not safe; `None` if the directory merely cannot be used at
    /// present.
    fn untrusted_directory_error(&self, fault: &DirectoryError) -> Option<Error> {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};

        let reason = match fault {
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
        let message = format!("cache.directory ({}) {reason}.", self.id);
        Some(Error::new(Code::InvalidConfiguration, message))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let (store_id, pool) = (std::mem::take(&mut self.store_id), self.pool.clone());
        // Outside a runtime the file is closed here: there is no timer that closing it could delay.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { pool.run(&store_id, move || drop(file)).await });
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
            let content = self
                .run_blocking(move |directory| directory.read(&name))
                .await?
                .ok()??;
            Some(Zeroizing::new(str::from_utf8(&content).ok()?.to_owned()))
        })
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> BoxFuture<'a, ()> {
        let (name, temporary) = (format!("{entry}.{RECORD}"), format!("{entry}.{TEMPORARY}"));
        let cleanup = file_cleanup::try_claim(&self.id)
            .then(|| (self.platform.clock.now(), self.platform.random.next_fraction()));
        Box::pin(async move {
            // If the disk is full or read-only, the next process requests a token itself.
            let _ = self
                .run_blocking(move |directory| {
                    // The cleanup comes first, since it may free the space that the record needs.
                    if let Some((now, start)) = cleanup {
                        file_cleanup::clean(directory, now, start);
                    }
                    directory.replace(&name, &temporary, record.as_bytes())
                })
                .await;
        })
    }
}
