//! A directory that only one user can access, for files that outlive the process.
//!
//! A file is replaced by renaming a temporary one to its name, so that a reader sees either the old content or the new,
//! even if the writer is killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::clock;
use super::directory_error::DirectoryError;
use super::files::{Files, ReadError, SystemFiles};
use crate::token::Timestamp;

/// The largest file that is read: the same as the limit of a response body, from which a record is made.
const MAX_FILE_BYTES: usize = 1_048_576;

/// The path of a directory that no other user may access.
#[derive(Clone, Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
}

/// A directory that was created and checked: no other user can access or replace it.
#[derive(Debug)]
pub struct CheckedDirectory {
    /// The path without symbolic links.
    path: PathBuf,
}

impl PrivateDirectory {
    /// Creates a value for an absolute path. Does not access the file system.
    pub fn new(path: &Path) -> Self {
        Self {
            // Collecting the components removes a trailing slash, because of which the system would follow a link.
            path: path.components().collect(),
        }
    }

    /// Creates the directory if it is missing, and checks its owner and permissions. Called for each access, because the
    /// effective user of the process can change.
    #[cfg(unix)]
    pub fn check(&self) -> Result<CheckedDirectory, DirectoryError> {
        let user = super::user::effective_user_id().map_err(DirectoryError::UnknownUser)?;
        let path = super::safe_path::private_directory(&self.path, user)?;
        Ok(CheckedDirectory { path })
    }

    /// Creates the directory if it is missing. It inherits the permissions of its parent.
    #[cfg(not(unix))]
    #[expect(
        clippy::disallowed_methods,
        reason = "this creates the directory of the one place that writes files"
    )]
    pub fn check(&self) -> Result<CheckedDirectory, DirectoryError> {
        std::fs::create_dir_all(&self.path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                DirectoryError::NotADirectory
            } else {
                DirectoryError::Io(error)
            }
        })?;
        let metadata = std::fs::symlink_metadata(&self.path).map_err(DirectoryError::Io)?;
        if !metadata.is_dir() {
            return Err(DirectoryError::NotADirectory);
        }
        Ok(CheckedDirectory {
            path: self.path.clone(),
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that writes files"
)]
impl CheckedDirectory {
    /// Takes the lock of this name; `None` if another process holds it. The system releases it when the file is closed.
    pub fn try_lock(&self, name: &str) -> io::Result<Option<File>> {
        let file = match Self::lock_options().open(self.path.join(name)) {
            Err(error) if is_sharing_violation(&error) => return Ok(None),
            file => file?,
        };
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match file.try_lock() {
            // A file that was removed between opening and locking does not exclude processes that open a new one.
            Ok(()) => Ok(Some(file).filter(|file| !is_removed(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes the file of a lock that this process holds, and releases the lock. A file that another process has open may
    /// remain.
    pub fn remove_lock(&self, name: &str, lock: File) {
        if cfg!(windows) {
            drop(lock); // An open lock file cannot be removed there, not even by its own process.
            let _ = self.remove(name);
        } else {
            let _ = self.remove(name);
            drop(lock);
        }
    }

    /// Returns the content of a file; `None` if it cannot be read.
    pub fn read(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let read: Result<_, ReadError> = SystemFiles.read(&self.path.join(name), MAX_FILE_BYTES, false);
        read.ok()
    }

    /// Replaces the content of a file, by way of a temporary file that only one writer may use at a time.
    pub fn replace(&self, name: &str, by_way_of: &str, content: &[u8]) -> io::Result<()> {
        // A killed writer may have left the temporary file, and its permissions may differ.
        self.remove(by_way_of)?;
        let temporary = self.path.join(by_way_of);
        let mut file = Self::private().create_new(true).open(&temporary)?;
        let written = file.write_all(content);
        drop(file);
        let replaced = written.and_then(|()| std::fs::rename(temporary, self.path.join(name)));
        if replaced.is_err() {
            let _ = self.remove(by_way_of); // Incomplete files must not accumulate on a full disk.
        }
        replaced
    }

    /// Returns the names of at most `most` entries.
    pub fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?.take(most);
        let name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        Ok(entries.filter_map(name).collect())
    }

    /// Returns when a file was last modified; `None` if it does not exist.
    pub fn modified(&self, name: &str) -> Option<Timestamp> {
        let metadata = std::fs::symlink_metadata(self.path.join(name)).ok()?;
        metadata.modified().ok().map(clock::timestamp)
    }

    /// Removes a file if it exists.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the options to write a file that only its owner can read, without following a link and without blocking
    /// on a pipe.
    fn private() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;

            options
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        }
        options
    }

    /// Returns the options to open a lock file. On Windows it cannot be removed while it is open, so that a process never
    /// locks a file that no other process can find.
    fn lock_options() -> OpenOptions {
        let mut options = Self::private();
        options.create(true);
        #[cfg(windows)]
        {
            use std::os::windows::fs::OpenOptionsExt;

            const FILE_SHARE_READ: u32 = 1;
            const FILE_SHARE_WRITE: u32 = 2;
            options.share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE);
        }
        options
    }
}

/// Returns whether a file cannot be opened because of how another process has it open: to remove it, for example.
fn is_sharing_violation(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    cfg!(windows) && error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// Returns whether an open file has been removed.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;

    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// Returns false: a lock file cannot be removed while it is open.
#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a directory of one test, which removes it.
    fn test_directory(name: &str) -> CheckedDirectory {
        let path = std::env::temp_dir().canonicalize().expect("a directory");
        let path = path.join(format!("min-private-dir-{name}-{}", std::process::id()));
        PrivateDirectory::new(&path).check().expect("safe")
    }

    fn try_lock(directory: &CheckedDirectory) -> Option<File> {
        directory.try_lock("a.lock").expect("no error")
    }

    #[tokio::test]
    async fn removed_lock_is_free_and_leaves_no_file() {
        let directory = test_directory("removed");
        let held = try_lock(&directory).expect("free");
        assert!(try_lock(&directory).is_none());
        directory.remove_lock("a.lock", held);
        assert!(directory.names(1).expect("readable").is_empty());
        assert!(try_lock(&directory).is_some());
        std::fs::remove_dir_all(&directory.path).expect("removed");
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn lock_is_taken_on_the_current_file_of_that_name() {
        let directory = test_directory("current");
        let held = try_lock(&directory).expect("free");
        assert!(!is_removed(&held));
        directory.remove("a.lock").expect("removed");
        assert!(is_removed(&held));
        assert!(try_lock(&directory).is_some());
        std::fs::remove_dir_all(&directory.path).expect("removed");
    }

    #[tokio::test]
    #[cfg(windows)]
    async fn open_lock_file_is_not_removed() {
        let directory = test_directory("open");
        let held = try_lock(&directory).expect("free");
        // Another process has opened the file, but does not hold the lock yet.
        let waiting = CheckedDirectory::lock_options()
            .open(directory.path.join("a.lock"))
            .expect("opened");
        directory.remove_lock("a.lock", held);
        waiting.try_lock().expect("free");
        assert!(try_lock(&directory).is_none(), "the lock of the same file");
        drop(waiting);
        std::fs::remove_dir_all(&directory.path).expect("removed");
    }

    #[tokio::test]
    #[cfg(windows)]
    #[expect(clippy::disallowed_methods, reason = "the test opens a real file")]
    async fn lock_whose_file_is_being_removed_is_not_an_error() {
        use std::os::windows::fs::OpenOptionsExt;

        const DELETE: u32 = 0x0001_0000;
        let directory = test_directory("removing");
        drop(try_lock(&directory).expect("free"));
        let removing = OpenOptions::new()
            .access_mode(DELETE)
            .open(directory.path.join("a.lock"))
            .expect("opened");
        assert!(try_lock(&directory).is_none());
        drop(removing);
        assert!(try_lock(&directory).is_some());
        std::fs::remove_dir_all(&directory.path).expect("removed");
    }
}
