//! The error of a private directory.

use std::io;
use std::path::PathBuf;

/// The reason why a directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// It could not be created or inspected.
    Io(io::Error),
    /// It is a link, a file or something else.
    NotADirectory,
    /// It belongs to another user.
    WrongOwner,
    /// Other users can access it.
    TooPermissive,
    /// A parent directory or link belongs to another user, who can replace the directory.
    ParentWrongOwner(PathBuf),
    /// Other users may write to a parent directory, and so can replace the directory.
    ParentTooPermissive(PathBuf),
    /// The user that the process runs as could not be determined.
    UnknownUser(io::Error),
}
