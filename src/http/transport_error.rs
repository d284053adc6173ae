//! Tells what kind of fault kept a response from coming, from the chain of errors behind it.

use std::error::Error as StdError;
use std::io;

use super::certificate_pin::Mismatch;
use super::connector::ConnectError;
use super::wire_limit::WireLimitExceeded;
use super::{Fault, FaultKind, local_error};
use crate::error::Cause;

type Classified = (FaultKind, Option<&'static str>);

/// A fault met before there was a connection.
pub(super) fn of_connecting(error: ConnectError) -> Fault {
    match error {
        ConnectError::NameResolution(error) => {
            of_chain(&error, Some((FaultKind::NameResolution, Some("ENOTFOUND"))))
        }
        ConnectError::Tcp(error) => {
            let kind = of_io(&error).unwrap_or((FaultKind::Unroutable, None));
            of_chain(&error, Some(kind))
        }
        ConnectError::Tls(error) => of_chain(&error, None),
        ConnectError::Tunnel(reason) => fault(
            (FaultKind::Unroutable, None),
            format!("the proxy opened no tunnel: {reason}"),
        ),
    }
}

/// A fault met between a request and the head of its response.
pub(super) fn of_exchange(error: &hyper::Error) -> Fault {
    of_chain(error, error.is_parse().then_some((FaultKind::NotHttp, None)))
}

/// A fault met in the body of a response.
pub(super) fn of_body(error: &hyper::Error) -> Fault {
    let mut fault = of_exchange(error);
    // hyper's own limits on the extensions of chunks and on trailers.
    let over_limit = io_error(&chain(error)).is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
    if over_limit {
        fault.kind = FaultKind::WireLimit;
    } else if matches!(fault.kind, FaultKind::Closed | FaultKind::NotHttp) {
        fault.kind = FaultKind::Reset; // The response began and broke off.
    }
    fault
}

/// No connection within the connect timeout.
pub(super) fn connect_timed_out() -> Fault {
    let timed_out = (FaultKind::ConnectTimeout, Some("ETIMEDOUT"));
    fault(timed_out, "no connection in time".to_owned())
}

/// A request that cannot be sent.
pub(super) fn unsendable(message: String) -> Fault {
    fault((FaultKind::Unsendable, None), message)
}

fn fault((kind, code): Classified, message: String) -> Fault {
    Fault {
        kind,
        cause: Some(Cause { code, message }),
    }
}

/// Classifies by the errors of a chain; `known` is what the outermost error has told already.
fn of_chain(error: &(dyn StdError + 'static), known: Option<Classified>) -> Fault {
    let chain = chain(error);
    let mut texts: Vec<_> = chain.iter().map(ToString::to_string).collect();
    texts.dedup(); // Wrappers repeat what they wrap.
    let rustls = chain
        .iter()
        .find_map(|error| error.downcast_ref::<rustls::Error>());
    let io = io_error(&chain);
    let classified = if chain.iter().any(|error| error.is::<WireLimitExceeded>()) {
        (FaultKind::WireLimit, None)
    } else if let Some(rustls) = rustls {
        let kind = if is_mismatch(rustls) {
            FaultKind::ThumbprintMismatch
        } else {
            FaultKind::Tls
        };
        (kind, None)
    } else {
        known
            .or_else(|| io.and_then(of_io))
            .unwrap_or((FaultKind::Closed, Some("ECONNRESET")))
    };
    fault(classified, texts.join(": "))
}

/// The errors behind an error. `io::Error` hides its payload from `source()`, so it is asked itself.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut chain = vec![error];
    loop {
        let last = chain[chain.len() - 1];
        let payload = last.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let next = match payload {
            Some(payload) => {
                let payload: &(dyn StdError + 'static) = payload;
                Some(payload)
            }
            None => last.source(),
        };
        match next {
            Some(next) => chain.push(next),
            None => return chain,
        }
    }
}

/// The innermost error of the operating system, or of a stream.
fn io_error<'a>(chain: &[&'a (dyn StdError + 'static)]) -> Option<&'a io::Error> {
    let mut errors = chain.iter().filter_map(|error| error.downcast_ref::<io::Error>());
    errors.next_back()
}

fn of_io(error: &io::Error) -> Option<Classified> {
    use io::ErrorKind as K;
    if let Some(code) = local_error::code(error) {
        return Some((FaultKind::Local, Some(code)));
    }
    match error.kind() {
        K::ConnectionRefused => Some((FaultKind::Refused, Some("ECONNREFUSED"))),
        K::ConnectionReset | K::ConnectionAborted => Some((FaultKind::Reset, Some("ECONNRESET"))),
        K::BrokenPipe => Some((FaultKind::Reset, Some("EPIPE"))),
        K::NotConnected => Some((FaultKind::Reset, Some("ENOTCONN"))),
        K::UnexpectedEof => Some((FaultKind::Closed, Some("ECONNRESET"))),
        K::TimedOut => Some((FaultKind::ConnectTimeout, Some("ETIMEDOUT"))),
        K::HostUnreachable => Some((FaultKind::Unroutable, Some("EHOSTUNREACH"))),
        K::NetworkUnreachable | K::NetworkDown => Some((FaultKind::Unroutable, Some("ENETUNREACH"))),
        _ => None,
    }
}

fn is_mismatch(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => other.0.is::<Mismatch>(),
        _ => false,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

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
}
