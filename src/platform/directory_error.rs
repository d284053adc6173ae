//! Why a private directory is rejected.

use std::io;
use std::path::PathBuf;

/// Why a directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// It cannot be created or inspected.
    Io(io::Error),
    /// It is a link, a file or another kind of entry.
    NotADirectory,
    /// It belongs to another user.
    WrongOwner,
    /// Other users can access it.
    TooPermissive,
    /// A directory or link in its path belongs to another user, who can replace it.
    ParentWrongOwner(PathBuf),
    /// Other users can write to a directory in its path, and so replace it.
    ParentTooPermissive(PathBuf),
    /// The effective user of this process could not be determined.
    UnknownUser(io::Error),
}
