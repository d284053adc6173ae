//! Checks that no other user can replace a directory or its parents, by the rules of ssh's `StrictModes`.
//!
//! Every parent must belong to root or to this user. Others must not be able to write to it, except if its sticky bit
//! prevents them from renaming entries of other users, as in /tmp. Only root and this user can then change the path after
//! the check, so that later calls can use the path. Calls relative to a directory handle, which are not in the standard
//! library, are not needed.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::directory_error::DirectoryError;

/// The most symbolic links followed in one path; the same as Linux's limit.
const MAX_LINKS: usize = 40;
const ROOT_USER: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const ACCESSIBLE_BY_OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;
const OWN_DIRECTORY: u32 = 0o700;

/// The resolution of a path, component by component, from the root directory.
struct Walk {
    user: u32,
    /// The resolved path: without links, and checked except for its last component.
    path: PathBuf,
    /// The components that remain, the next one last.
    remaining: Vec<OsString>,
    links: usize,
}

/// Resolves an absolute path, creates missing directories, and checks that only this user can access the last one.
/// Returns the path without links.
pub(super) fn private_directory(path: &Path, user: u32) -> Result<PathBuf, DirectoryError> {
    let mut walk = Walk {
        user,
        path: PathBuf::from("/"),
        remaining: Vec::new(),
        links: 0,
    };
    walk.add(path);
    while let Some(component) = walk.remaining.pop() {
        walk.enter(&component)?;
    }
    let metadata = inspect(&walk.path)?;
    if metadata.uid() != user {
        return Err(DirectoryError::WrongOwner);
    }
    if metadata.mode() & ACCESSIBLE_BY_OTHERS != 0 {
        return Err(DirectoryError::TooPermissive);
    }
    Ok(walk.path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this checks the directory of the one place that writes files"
)]
fn inspect(path: &Path) -> Result<Metadata, DirectoryError> {
    std::fs::symlink_metadata(path).map_err(DirectoryError::Io)
}

impl Walk {
    fn add(&mut self, path: &Path) {
        let components = path.components().rev();
        self.remaining
            .extend(components.filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_owned()),
                Component::ParentDir => Some("..".into()),
                _ => None,
            }));
    }

    fn enter(&mut self, component: &OsString) -> Result<(), DirectoryError> {
        if component == ".." {
            self.path.pop();
            return Ok(());
        }
        self.check_parent()?;
        let next = self.path.join(component);
        let metadata = create_or_inspect(&next)?;
        if metadata.is_symlink() && !self.remaining.is_empty() {
            self.follow(&next, &metadata)
        } else if metadata.is_dir() {
            self.path = next;
            Ok(())
        } else {
            Err(DirectoryError::NotADirectory)
        }
    }

    /// Checks that other users cannot rename entries of the directory at the resolved path.
    fn check_parent(&self) -> Result<(), DirectoryError> {
        let metadata = inspect(&self.path)?;
        let mode = metadata.mode();
        if !self.is_trusted(&metadata) {
            Err(DirectoryError::ParentWrongOwner(self.path.clone()))
        } else if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            Err(DirectoryError::ParentTooPermissive(self.path.clone()))
        } else {
            Ok(())
        }
    }

    fn follow(&mut self, link: &Path, metadata: &Metadata) -> Result<(), DirectoryError> {
        // In /tmp any user can create a link, and replace it later.
        if !self.is_trusted(metadata) {
            return Err(DirectoryError::ParentWrongOwner(link.to_owned()));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(DirectoryError::Io(io::Error::from_raw_os_error(libc::ELOOP)));
        }
        let target = std::fs::read_link(link).map_err(DirectoryError::Io)?;
        if target.is_absolute() {
            self.path = PathBuf::from("/");
        }
        self.add(&target);
        Ok(())
    }

    fn is_trusted(&self, metadata: &Metadata) -> bool {
        [ROOT_USER, self.user].contains(&metadata.uid())
    }
}

/// Returns the metadata of a path. If nothing exists there, creates a directory that only this user can access.
#[expect(
    clippy::disallowed_methods,
    reason = "this creates the directory of the one place that writes files"
)]
fn create_or_inspect(path: &Path) -> Result<Metadata, DirectoryError> {
    match inspect(path) {
        Err(DirectoryError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            match std::fs::DirBuilder::new().mode(OWN_DIRECTORY).create(path) {
                // Another process may have created it meanwhile.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(DirectoryError::Io(error)),
                _ => inspect(path),
            }
        }
        found => found,
    }
}

#[cfg(test)]
mod tests;
