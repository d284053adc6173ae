//! The files of the machine: Azure Arc's executable and key files, federated tokens, trust roots.
//!
//! A file is opened once and checked by its handle, so that it cannot be replaced between the check and the read.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

/// Why a file could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It is a link, a directory, a pipe or a device.
    NotAFile,
    /// The permissions of the file do not allow it.
    PermissionDenied(std::io::Error),
    /// Another error of the operating system, such as a missing file.
    Io(std::io::Error),
    /// It is larger than the limit.
    TooLarge,
}

/// Access to files.
pub trait Files: Send + Sync {
    /// Returns whether a path is a regular file.
    fn is_regular(&self, path: &Path) -> bool;
    /// Reads a file of at most `limit` bytes. If `follow_links` is false, a symbolic link is an error.
    fn read(&self, path: &Path, limit: usize, follow_links: bool) -> Result<Zeroizing<Vec<u8>>, ReadError>;
}

/// The files of the operating system.
pub struct SystemFiles;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that touches real files"
)]
impl Files for SystemFiles {
    fn is_regular(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
    }

    fn read(&self, path: &Path, limit: usize, follow_links: bool) -> Result<Zeroizing<Vec<u8>>, ReadError> {
        let file = open(path, follow_links)?;
        let metadata = file.metadata().map_err(read_error)?;
        if !metadata.is_file() {
            return Err(ReadError::NotAFile);
        }
        if metadata.len() > limit as u64 {
            return Err(ReadError::TooLarge);
        }
        // Reading one byte more than the limit detects a file that has grown since the check.
        let expected = usize::try_from(metadata.len()).map_or(limit, |size| size.min(limit));
        let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
        file.take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(read_error)?;
        if bytes.len() > limit {
            Err(ReadError::TooLarge)
        } else {
            Ok(bytes)
        }
    }
}

#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that opens real files"
)]
fn open(path: &Path, follow_links: bool) -> Result<std::fs::File, ReadError> {
    use std::os::unix::fs::OpenOptionsExt;

    // O_NONBLOCK: otherwise opening a pipe blocks until it has a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | if follow_links { 0 } else { libc::O_NOFOLLOW };
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| {
            // The error of O_NOFOLLOW for a link: ELOOP on Linux and macOS, EMLINK on FreeBSD.
            let is_link = matches!(error.raw_os_error(), Some(libc::ELOOP | libc::EMLINK));
            if is_link && !follow_links {
                ReadError::NotAFile
            } else {
                read_error(error)
            }
        })
}

#[cfg(windows)]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that opens real files"
)]
fn open(path: &Path, follow_links: bool) -> Result<std::fs::File, ReadError> {
    use std::os::windows::fs::OpenOptionsExt;

    // Opens a link itself instead of its target. `is_file` is false for a link.
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    let flags = if follow_links {
        0
    } else {
        FILE_FLAG_OPEN_REPARSE_POINT
    };
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| match std::fs::symlink_metadata(path) {
            // Windows denies access to a directory that is opened as a file.
            Ok(metadata) if !metadata.is_file() => ReadError::NotAFile,
            _ => read_error(error),
        })
}

fn read_error(error: std::io::Error) -> ReadError {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        ReadError::PermissionDenied(error)
    } else {
        ReadError::Io(error)
    }
}

#[cfg(all(test, unix))]
#[expect(clippy::disallowed_methods, reason = "the test creates real files")]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_within_the_limit_is_read() {
        let directory = std::env::temp_dir().join(format!("min-files-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("a.key");
        std::fs::write(&file, b"12345").expect("a file");
        let link = directory.join("link.key");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let pipe = directory.join("pipe.key");
        let _ = std::fs::remove_file(&pipe);
        let status = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo");
        assert!(status.success());

        let read = |path: &Path, limit, follow| SystemFiles.read(path, limit, follow);
        assert_eq!(*read(&file, 5, false).expect("readable"), b"12345");
        assert!(matches!(read(&file, 4, false), Err(ReadError::TooLarge)));
        assert!(matches!(read(&link, 5, false), Err(ReadError::NotAFile)));
        assert_eq!(*read(&link, 5, true).expect("followed"), b"12345");
        assert!(matches!(read(&pipe, 5, false), Err(ReadError::NotAFile)));
        assert!(matches!(read(&directory, 5, false), Err(ReadError::NotAFile)));
        assert!(matches!(
            read(&directory.join("none.key"), 5, false),
            Err(ReadError::Io(_))
        ));
        assert!(SystemFiles.is_regular(&file) && !SystemFiles.is_regular(&directory));
        std::fs::remove_dir_all(&directory).expect("cleaned");
    }
}

#[cfg(all(test, windows))]
#[expect(clippy::disallowed_methods, reason = "the test lays out real files")]
mod windows_tests {
    use super::*;

    #[test]
    fn directory_is_not_a_file_and_a_missing_file_is_an_io_error() {
        let directory = std::env::temp_dir().join(format!("min-files-{}.key", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let read = |path: &Path| SystemFiles.read(path, 5, false);
        assert!(matches!(read(&directory), Err(ReadError::NotAFile)));
        assert!(matches!(read(&directory.join("none.key")), Err(ReadError::Io(_))));
        let file = directory.join("a.key");
        std::fs::write(&file, b"12345").expect("a file");
        assert_eq!(*read(&file).expect("readable"), b"12345");
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
