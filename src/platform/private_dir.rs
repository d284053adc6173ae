//! A folder of one user's own, for what must survive the process.
//!
//! A file is replaced by renaming another one over it, so that whoever reads sees the old content or the new,
//! whenever a writer is killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::clock;
use super::directory_error::DirectoryError;
use super::files::{Files, ReadError, SystemFiles};
use crate::token::Timestamp;

/// No file here is larger: an endpoint's whole answer has a limit of this.
const MAX_FILE_BYTES: usize = 1_048_576;

/// A folder that no other user may look into.
#[derive(Clone, Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
}

/// The directory of a [`PrivateDirectory`], checked: no other user can look into it, or put another in its place.
#[derive(Debug)]
pub struct CheckedDirectory {
    /// Without links on the way.
    path: PathBuf,
}

impl PrivateDirectory {
    /// A folder at this absolute path, which is neither made nor looked at yet.
    pub fn new(path: &Path) -> Self {
        Self {
            // Without a slash at its end, by which the system would follow a link.
            path: path.components().collect(),
        }
    }

    /// Makes it if it is not there, and checks whose it is: now, since the process may act as another user than before.
    #[cfg(unix)]
    pub fn check(&self) -> Result<CheckedDirectory, DirectoryError> {
        let user = super::user::effective_user_id().map_err(DirectoryError::UnknownUser)?;
        let path = super::safe_path::private_directory(&self.path, user)?;
        Ok(CheckedDirectory { path })
    }

    /// Makes it if it is not there. Its rights are those of its parent.
    #[cfg(not(unix))]
    #[expect(
        clippy::disallowed_methods,
        reason = "this makes the directory of the one place that writes files"
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
    /// The lock of this name, if no other process holds it; the system frees it when the file is closed.
    pub fn try_lock(&self, name: &str) -> io::Result<Option<File>> {
        let file = Self::private().create(true).open(self.path.join(name))?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match file.try_lock() {
            // What was removed between opening and locking excludes only those who opened it before, too.
            Ok(()) => Ok(Some(file).filter(|file| !is_removed(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The content of a file; `None` if it cannot be read.
    pub fn read(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let read: Result<_, ReadError> = SystemFiles.read(&self.path.join(name), MAX_FILE_BYTES, false);
        read.ok()
    }

    /// Puts this content in place of a file's, by way of another file that only one writer should use at a time.
    pub fn replace(&self, name: &str, by_way_of: &str, content: &[u8]) -> io::Result<()> {
        // What a writer that was killed has left, or whatever else lies there, with rights of its own.
        self.remove(by_way_of)?;
        let temporary = self.path.join(by_way_of);
        let mut file = Self::private().create_new(true).open(&temporary)?;
        let written = file.write_all(content);
        drop(file);
        let replaced = written.and_then(|()| std::fs::rename(temporary, self.path.join(name)));
        if replaced.is_err() {
            let _ = self.remove(by_way_of); // A full disk must not fill up with what could not be written.
        }
        replaced
    }

    /// The names of what lies here, as many as `most`.
    pub fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?.take(most);
        let name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        Ok(entries.filter_map(name).collect())
    }

    /// When a file was last written to; `None` if it is not there.
    pub fn modified(&self, name: &str) -> Option<Timestamp> {
        let metadata = std::fs::symlink_metadata(self.path.join(name)).ok()?;
        metadata.modified().ok().map(clock::timestamp)
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// To write a file that only its owner may read, without following a link or waiting for a pipe's reader.
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
}

/// Whether an open file has no name any more.
#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;

    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// Locks are not removed here.
#[cfg(not(unix))]
fn is_removed(_: &File) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::DirBuilderExt;

    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test lays out real files")]
    async fn lock_is_taken_on_the_current_file_of_that_name() {
        let path = std::env::temp_dir().canonicalize().expect("a directory");
        let path = path.join(format!("min-folder-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("made");
        let directory = PrivateDirectory::new(&path).check().expect("safe");
        let lock = || directory.try_lock("a.lock").expect("no error");
        let held = lock().expect("free");
        assert!(lock().is_none() && !is_removed(&held));
        directory.remove("a.lock").expect("removed");
        assert!(is_removed(&held));
        assert!(lock().is_some());
        std::fs::remove_dir_all(&path).expect("cleaned");
    }
}
