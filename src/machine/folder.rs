//! A folder of one user's own, for what must survive the process.
//!
//! A file is replaced by renaming another one over it, so that whoever reads sees the old content or the new,
//! whenever a writer is killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::files::{Files, ReadFault, SystemFiles};

/// No file here is larger: an endpoint's whole answer has a limit of this.
const LIMIT: usize = 1_048_576;

/// A folder that nobody else may look into.
#[derive(Clone, Debug)]
pub struct PrivateFolder {
    path: PathBuf,
    /// The user that it must belong to; `None` where the system has no such numbers.
    owner: Option<u32>,
}

/// Why a folder cannot be trusted.
#[derive(Debug)]
pub enum FolderFault {
    /// It cannot be made, or not be looked at.
    Failed(io::Error),
    /// It is a link, a file or the like.
    NotAFolder,
    /// It belongs to somebody else.
    Foreign,
    /// Others may look into it.
    Open,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that writes files"
)]
impl PrivateFolder {
    /// A folder at this path, which is neither made nor looked at yet.
    pub fn at(path: &Path, owner: Option<u32>) -> Self {
        Self {
            // Without a slash at its end, by which the system would follow a link.
            path: path.components().collect(),
            owner,
        }
    }

    /// Makes it if it is not there, and checks whose it is.
    pub fn prepare(&self) -> Result<(), FolderFault> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                FolderFault::NotAFolder
            } else {
                FolderFault::Failed(error)
            }
        })?;
        let metadata = std::fs::symlink_metadata(&self.path).map_err(FolderFault::Failed)?;
        if !metadata.is_dir() {
            return Err(FolderFault::NotAFolder);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;

            if self.owner.is_some_and(|owner| owner != metadata.uid()) {
                return Err(FolderFault::Foreign);
            }
            if metadata.mode() & 0o077 != 0 {
                return Err(FolderFault::Open);
            }
        }
        Ok(())
    }

    /// The lock of this name, if nobody holds it; it is let go when the file is closed, by whatever.
    pub fn try_lock(&self, name: &str) -> io::Result<Option<File>> {
        let file = Self::private().create(true).open(self.path.join(name))?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The content of a file; `None` if it cannot be read.
    pub fn read(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let read: Result<_, ReadFault> = SystemFiles.read(&self.path.join(name), LIMIT, false);
        read.ok()
    }

    /// Puts this content in place of a file's, by way of another file that only one writer should use at a time.
    pub fn replace(&self, name: &str, by_way_of: &str, content: &[u8]) -> io::Result<()> {
        let by_way_of = self.path.join(by_way_of);
        // What a writer that was killed has left, or whatever else lies there, with rights of its own.
        if let Err(error) = std::fs::remove_file(&by_way_of)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = Self::private().create_new(true).open(&by_way_of)?;
        file.write_all(content)?;
        drop(file);
        std::fs::rename(by_way_of, self.path.join(name))
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
