//! Paths to a directory that no other user can put another one in the place of, as ssh checks them (`StrictModes`).
//!
//! Every directory on the way must belong to root or to this user, and others may not write to it, except where its
//! sticky bit keeps them from renaming what is not theirs, as in /tmp. What is checked then stays as it is: only root
//! and this user can change it. So nothing has to be done through a handle of the directory, which the standard
//! library has no calls for.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::directory_error::DirectoryError;

/// As many links as Linux follows on one path.
const MAX_LINKS: usize = 40;
const ROOT_USER: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const ACCESSIBLE_BY_OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;
const OWN_DIRECTORY: u32 = 0o700;

/// A walk along a path, from the root directory on.
struct Walk {
    user: u32,
    /// Where it is: a path without links, all of it checked but its last part.
    path: PathBuf,
    /// The components that are left, the next one last.
    remaining: Vec<OsString>,
    links: usize,
}

/// Finds the directory at an absolute path, makes it and what is missing above it, and checks that it is this user's
/// alone. Returns its path without links.
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

    /// Others must not be able to rename what lies in the directory that the walk has come to.
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
        // Anyone can lay a link in /tmp, and change later where it leads.
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

/// What is at a path; where nothing is, a directory is made for this user alone.
#[expect(
    clippy::disallowed_methods,
    reason = "this makes the directory of the one place that writes files"
)]
fn create_or_inspect(path: &Path) -> Result<Metadata, DirectoryError> {
    match inspect(path) {
        Err(DirectoryError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            match std::fs::DirBuilder::new().mode(OWN_DIRECTORY).create(path) {
                // Another process may have been faster.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(DirectoryError::Io(error)),
                _ => inspect(path),
            }
        }
        found => found,
    }
}

#[cfg(test)]
mod tests;
