//! Records as files: one for each key, in a folder of the user's own.
//!
//! The processes of a host make one request between them, since whoever works at an entry holds its lock. Files
//! are small and lie on a local disk, but they are read and written off the network thread all the same.

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::shelf::{Doing, Store};
use crate::error::{Code, Error};
use crate::machine::{FolderFault, PrivateFolder};

/// How often a lock that another process holds is tried again.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(100);
/// Somebody who holds a lock for longer than an acquisition takes by default is not waited for.
const LOCK_PATIENCE: Duration = Duration::from_mins(2);

/// A folder of records.
pub struct DiskStore {
    folder: PrivateFolder,
    label: String,
}

impl DiskStore {
    /// The store in this folder, which must belong to the user of this number where the system has them.
    pub fn at(path: &Path, owner: Option<u32>) -> Self {
        Self {
            folder: PrivateFolder::at(path, owner),
            label: path.display().to_string(),
        }
    }

    /// Does something with the folder, off the thread of this task.
    async fn with_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PrivateFolder) -> T + Send + 'static,
    ) -> Option<T> {
        let folder = self.folder.clone();
        spawn_blocking(move || work(&folder)).await.ok()
    }

    async fn lock(&self, entry: &str) -> Result<Box<dyn Send>, Error> {
        let prepared = self.with_folder(PrivateFolder::prepare).await;
        if let Some(Err(fault)) = prepared {
            return Err(self.untrusted(&fault));
        }
        let started = Instant::now();
        let mut look = FIRST_LOOK;
        while started.elapsed() < LOCK_PATIENCE {
            let name = format!("{entry}.lock");
            match self.with_folder(move |folder| folder.try_lock(&name)).await {
                Some(Ok(Some(lock))) => return Ok(Box::new(lock)),
                Some(Ok(None)) => sleep(look).await,
                _ => break, // A file system without locks: each process asks for itself.
            }
            look = (look * 2).min(LAST_LOOK);
        }
        Ok(Box::new(()))
    }

    fn untrusted(&self, fault: &FolderFault) -> Error {
        let why = match fault {
            FolderFault::Failed(error) => format!("cannot be used ({error})"),
            FolderFault::NotAFolder => "is no directory, or a link to one".to_owned(),
            FolderFault::Foreign => "belongs to another user".to_owned(),
            FolderFault::Open => "may be looked into by others: give it the mode 0700".to_owned(),
        };
        Error::new(
            Code::InvalidConfiguration,
            format!("cache.directory ({}) {why}.", self.label),
        )
    }
}

impl Store for DiskStore {
    fn label(&self) -> &str {
        &self.label
    }

    fn hold<'a>(&'a self, entry: &'a str) -> Doing<'a, Result<Box<dyn Send>, Error>> {
        Box::pin(self.lock(entry))
    }

    fn load<'a>(&'a self, entry: &'a str) -> Doing<'a, Option<Zeroizing<String>>> {
        let name = format!("{entry}.json");
        Box::pin(async move {
            let read = self.with_folder(move |folder| folder.read(&name)).await??;
            Some(Zeroizing::new(str::from_utf8(&read).ok()?.to_owned()))
        })
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> Doing<'a, ()> {
        let (name, by_way_of) = (format!("{entry}.json"), format!("{entry}.tmp"));
        Box::pin(async move {
            // A disk that is full or read-only costs the next process a request, and this one nothing.
            let _ = self
                .with_folder(move |folder| folder.replace(&name, &by_way_of, record.as_bytes()))
                .await;
        })
    }
}
