//! What the operating system says, and what kind of fault that is.

use super::*;

#[cfg(unix)]
#[test]
fn faults_of_this_process_are_told_from_those_of_the_endpoint() {
    for (number, kind, code) in [
        (libc::EADDRNOTAVAIL, FaultKind::Local, "EADDRNOTAVAIL"),
        (libc::EMFILE, FaultKind::Local, "EMFILE"),
        (libc::ENFILE, FaultKind::Local, "ENFILE"),
        (libc::ENOBUFS, FaultKind::Local, "ENOBUFS"),
        (libc::ENOMEM, FaultKind::Local, "ENOMEM"),
        (libc::EACCES, FaultKind::Local, "EACCES"),
        (libc::EPERM, FaultKind::Local, "EPERM"),
        (libc::ECONNREFUSED, FaultKind::Refused, "ECONNREFUSED"),
        (libc::EHOSTUNREACH, FaultKind::Unroutable, "EHOSTUNREACH"),
        (libc::ENETUNREACH, FaultKind::Unroutable, "ENETUNREACH"),
        (libc::ETIMEDOUT, FaultKind::ConnectTimeout, "ETIMEDOUT"),
    ] {
        let error = io::Error::from_raw_os_error(number);
        assert_eq!(of_io(&error), Some((kind, Some(code))), "{error}");
    }
    assert_eq!(of_io(&io::Error::from_raw_os_error(libc::EDOM)), None);
}
