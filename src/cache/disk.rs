//! Records as files: one for each key, in a folder of the user's own.
//!
//! The processes of a host make one request between them, since whoever works at an entry holds its lock. Files
//! are small and lie on a local disk, but they are read and written off the network thread all the same.

use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::shelf::{Doing, Guard, Store};
use crate::error::{Code, Error};
use crate::machine::{FolderFault, PrivateFolder};

/// How often a lock that another process holds is tried again.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(100);
/// So many threads of this process are at its disks at most; each does one thing and ends.
static THREADS: Semaphore = Semaphore::const_new(4);

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

    /// Does something with the folder, off the thread of this task. `None` where no thread can be had, or it panicked.
    async fn with_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PrivateFolder) -> T + Send + 'static,
    ) -> Option<T> {
        let folder = self.folder.clone();
        let (done, result) = oneshot::channel();
        let permit = THREADS.acquire().await.ok()?;
        thread::Builder::new()
            .name("managed-identity-disk".into())
            .spawn(move || {
                let worked = work(&folder);
                drop(permit);
                let _ = done.send(worked); // Nobody may be waiting any more.
            })
            .ok()?;
        result.await.ok()
    }

    async fn lock(&self, entry: &str) -> Option<Guard> {
        let mut look = FIRST_LOOK;
        loop {
            let name = format!("{entry}.lock");
            match self.with_folder(move |folder| folder.try_lock(&name)).await? {
                Ok(Some(lock)) => return Some(Box::new(lock)),
                Ok(None) => sleep(look).await,
                Err(_) => return None, // A file system without locks: each process asks for itself.
            }
            look = (look * 2).min(LAST_LOOK);
        }
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

    fn open(&self) -> Doing<'_, Result<bool, Error>> {
        Box::pin(async {
            match self.with_folder(PrivateFolder::prepare).await {
                Some(Ok(())) => Ok(true),
                Some(Err(fault)) => Err(self.untrusted(&fault)),
                None => Ok(false),
            }
        })
    }

    fn hold<'a>(&'a self, entry: &'a str) -> Doing<'a, Option<Guard>> {
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
