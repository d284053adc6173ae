//! Faults of this process itself: it has no ports, descriptors or memory left, or is not allowed to connect.
//!
//! They say nothing about the endpoint. The standard library has no kind for most of them, so they are told by the
//! number of the operating system.

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

/// Returns the code of a fault of this process, as Node names it; `None` for every other fault.
pub fn code(error: &io::Error) -> Option<&'static str> {
    let number = error.raw_os_error()?;
    let known = CODES.iter().find(|(code, _)| *code == number);
    known.map(|(_, name)| *name)
}

/// Returns the same for a code that a caller's client gave.
pub fn named(code: &str) -> Option<&'static str> {
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
