//! Local errors: this process has no ports, descriptors or memory left, or lacks the permission to connect.
//!
//! They imply nothing about the endpoint. `io::ErrorKind` has no stable kind for most of them, so they are recognized by
//! the error number of the operating system.

use std::io;

#[cfg(unix)]
const CODES: &[(i32, &str)] = &[
    (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (libc::EMFILE, "EMFILE"),
    (libc::ENFILE, "ENFILE"),
    (libc::ENOBUFS, "ENOBUFS"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EPERM, "EPERM"),
];
/// `WSAEADDRNOTAVAIL`, `ERROR_TOO_MANY_OPEN_FILES`, `WSAEMFILE`, `WSAENOBUFS`, `WSA_NOT_ENOUGH_MEMORY`, `WSAEACCES`.
#[cfg(windows)]
const CODES: &[(i32, &str)] = &[
    (10_049, "EADDRNOTAVAIL"),
    (4, "EMFILE"),
    (10_024, "EMFILE"),
    (10_055, "ENOBUFS"),
    (8, "ENOMEM"),
    (10_013, "EACCES"),
];

/// Returns Node.js's code for a local error; `None` for any other error.
pub fn code(error: &io::Error) -> Option<&'static str> {
    let number = error.raw_os_error()?;
    let known = CODES.iter().find(|(code, _)| *code == number);
    known.map(|(_, name)| *name)
}

/// Returns the code of a local error that a custom network client reported; `None` for any other code.
pub fn known_code(code: &str) -> Option<&'static str> {
    const ALL: [&str; 7] = [
        "EADDRNOTAVAIL",
        "EMFILE",
        "ENFILE",
        "ENOBUFS",
        "ENOMEM",
        "EACCES",
        "EPERM",
    ];
    ALL.into_iter().find(|known| *known == code)
}
