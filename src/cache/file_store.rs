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
use super::persistent::{Doing, Guard, Store};
use crate::error::{Code, Error};
use crate::platform::{BlockingPool, CheckedDirectory, FolderFault, Machine, PrivateFolder};

/// How often a lock that another process holds is tried again.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// A folder of records.
pub struct DiskStore {
    folder: PrivateFolder,
    label: String,
    machine: Machine,
}

/// The lock of an entry. Its file is closed on a thread of the pool, since that can block as well.
struct HeldLock {
    file: Option<File>,
    place: String,
    pool: BlockingPool,
}

impl DiskStore {
    /// The store in this folder, which must belong to the user that this process acts as when it is used.
    pub fn at(path: &Path, machine: Machine) -> Self {
        Self {
            folder: PrivateFolder::at(path),
            label: path.display().to_string(),
            machine,
        }
    }

    /// Does something with the folder once it is checked, on a thread of the pool. `None` where that panicked.
    async fn with_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CheckedDirectory) -> T + Send + 'static,
    ) -> Option<Result<T, FolderFault>> {
        let folder = self.folder.clone();
        let checked = move || folder.check().map(|directory| work(&directory));
        self.machine.blocking.run(&self.label, checked).await
    }

    async fn lock(&self, entry: &str) -> Option<Guard> {
        let mut look = FIRST_LOOK;
        loop {
            let name = format!("{entry}.{LOCK}");
            let (place, pool) = (self.label.clone(), self.machine.blocking.clone());
            let lock = move |directory: &CheckedDirectory| {
                let file = directory.try_lock(&name)?;
                Ok(file.map(|file| HeldLock {
                    file: Some(file),
                    place,
                    pool,
                }))
            };
            let locked: std::io::Result<_> = self.with_folder(lock).await?.ok()?;
            match locked {
                Ok(Some(lock)) => return Some(Box::new(lock)),
                Ok(None) => sleep(look).await,
                Err(_) => return None, // A file system without locks: each process asks for itself.
            }
            look = (look * 2).min(LAST_LOOK);
        }
    }

    /// The error for a folder in which tokens are not safe; `None` if it only cannot be used just now.
    fn untrusted(&self, fault: &FolderFault) -> Option<Error> {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};

        let why = match fault {
            FolderFault::Failed(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => return None,
            FolderFault::UnknownUser(_) => return None,
            FolderFault::Failed(error) => format!("cannot be used ({error})"),
            FolderFault::NotAFolder => "is no directory, or a link to one".to_owned(),
            FolderFault::Foreign => "belongs to another user".to_owned(),
            FolderFault::Open => "may be looked into by others: give it the mode 0700".to_owned(),
            FolderFault::ForeignParent(parent) => format!(
                "lies below {}, which belongs to another user, who could put another directory in its place",
                parent.display()
            ),
            FolderFault::OpenParent(parent) => format!(
                "lies below {}, to which others may write, so that they could put another directory in its place: \
                 take that right from them (chmod go-w), or name another directory",
                parent.display()
            ),
        };
        let message = format!("cache.directory ({}) {why}.", self.label);
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

impl Store for DiskStore {
    fn label(&self) -> &str {
        &self.label
    }

    fn open(&self) -> Doing<'_, Result<bool, Error>> {
        Box::pin(async {
            match self.with_folder(|_| ()).await {
                Some(Ok(())) => Ok(true),
                Some(Err(fault)) => self.untrusted(&fault).map_or(Ok(false), Err),
                None => Ok(false),
            }
        })
    }

    fn hold<'a>(&'a self, entry: &'a str) -> Doing<'a, Option<Guard>> {
        Box::pin(self.lock(entry))
    }

    fn load<'a>(&'a self, entry: &'a str) -> Doing<'a, Option<Zeroizing<String>>> {
        let name = format!("{entry}.{RECORD}");
        Box::pin(async move {
            let read = self
                .with_folder(move |directory| directory.read(&name))
                .await?
                .ok()??;
            Some(Zeroizing::new(str::from_utf8(&read).ok()?.to_owned()))
        })
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> Doing<'a, ()> {
        let (name, by_way_of) = (format!("{entry}.{RECORD}"), format!("{entry}.{TEMPORARY}"));
        let cleanup = file_cleanup::is_due(&self.label)
            .then(|| (self.machine.clock.now(), self.machine.chance.fraction()));
        Box::pin(async move {
            // A disk that is full or read-only costs the next process a request, and this one nothing.
            let _ = self
                .with_folder(move |directory| {
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
