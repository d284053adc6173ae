//! Classifies the errors of connecting and of exchanges, by the chain of their sources.

use std::error::Error as StdError;
use std::io;

use super::certificate_pin::ThumbprintMismatch;
use super::connector::ConnectError;
use super::wire_limit::WireLimitExceeded;
use super::{TransportError, TransportErrorKind, local_error};
use crate::error::Cause;

type Classified = (TransportErrorKind, Option<&'static str>);

/// Converts an error of establishing a connection.
pub(super) fn from_connect_error(error: ConnectError) -> TransportError {
    match error {
        ConnectError::NameResolution(error) => from_chain(
            &error,
            Some((TransportErrorKind::NameResolution, Some("ENOTFOUND"))),
        ),
        ConnectError::Tcp(error) => {
            let kind = classify_io_error(&error).unwrap_or((TransportErrorKind::Unreachable, None));
            from_chain(&error, Some(kind))
        }
        ConnectError::Tls(error) => from_chain(&error, None),
        ConnectError::Tunnel(reason) => transport_error(
            (TransportErrorKind::Unreachable, None),
            format!("the proxy did not open a tunnel: {reason}"),
        ),
    }
}

/// Converts an error between a request and the head of its response.
pub(super) fn from_exchange_error(error: &hyper::Error) -> TransportError {
    from_chain(
        error,
        error.is_parse().then_some((TransportErrorKind::NotHttp, None)),
    )
}

/// Converts an error in the body of a response.
pub(super) fn from_body_error(error: &hyper::Error) -> TransportError {
    let mut transport_error = from_exchange_error(error);
    // hyper reports its own limits on chunk extensions and trailers as `InvalidData`.
    let over_limit =
        io_error(&error_chain(error)).is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
    if over_limit {
        transport_error.kind = TransportErrorKind::WireLimit;
    } else if matches!(
        transport_error.kind,
        TransportErrorKind::ConnectionClosed | TransportErrorKind::NotHttp
    ) {
        // The connection was lost after the response had begun.
        transport_error.kind = TransportErrorKind::ConnectionReset;
    }
    transport_error
}

/// Returns the error for a connect timeout.
pub(super) fn connect_timed_out() -> TransportError {
    let timed_out = (TransportErrorKind::ConnectTimeout, Some("ETIMEDOUT"));
    transport_error(timed_out, "the connection timed out".to_owned())
}

/// Returns the error for a request that cannot be sent.
pub(super) fn invalid_request(message: String) -> TransportError {
    transport_error((TransportErrorKind::InvalidRequest, None), message)
}

fn transport_error((kind, code): Classified, message: String) -> TransportError {
    TransportError {
        kind,
        cause: Some(Cause { code, message }),
    }
}

/// Classifies an error by its chain of sources. `known` is the classification by the outermost error, which applies if
/// the chain contains neither a wire limit nor a TLS error.
fn from_chain(error: &(dyn StdError + 'static), known: Option<Classified>) -> TransportError {
    let chain = error_chain(error);
    let mut texts: Vec<_> = chain.iter().map(ToString::to_string).collect();
    texts.dedup(); // A wrapper can have the same message as its source.
    let rustls = chain
        .iter()
        .find_map(|error| error.downcast_ref::<rustls::Error>());
    let io = io_error(&chain);
    let classified = if chain.iter().any(|error| error.is::<WireLimitExceeded>()) {
        (TransportErrorKind::WireLimit, None)
    } else if let Some(rustls) = rustls {
        let kind = if is_thumbprint_mismatch(rustls) {
            TransportErrorKind::ThumbprintMismatch
        } else {
            TransportErrorKind::Tls
        };
        (kind, None)
    } else {
        known
            .or_else(|| io.and_then(classify_io_error))
            .unwrap_or((TransportErrorKind::ConnectionClosed, Some("ECONNRESET")))
    };
    transport_error(classified, texts.join(": "))
}

/// Returns an error and all its sources. The `source()` of an `io::Error` skips its payload, so the payload is read with
/// `get_ref`.
fn error_chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
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

/// Returns the innermost `io::Error`.
fn io_error<'a>(chain: &[&'a (dyn StdError + 'static)]) -> Option<&'a io::Error> {
    let mut errors = chain.iter().filter_map(|error| error.downcast_ref::<io::Error>());
    errors.next_back()
}

fn classify_io_error(error: &io::Error) -> Option<Classified> {
    use io::ErrorKind as K;
    if let Some(code) = local_error::code(error) {
        return Some((TransportErrorKind::Local, Some(code)));
    }
    match error.kind() {
        K::ConnectionRefused => Some((TransportErrorKind::ConnectionRefused, Some("ECONNREFUSED"))),
        K::ConnectionReset | K::ConnectionAborted => {
            Some((TransportErrorKind::ConnectionReset, Some("ECONNRESET")))
        }
        K::BrokenPipe => Some((TransportErrorKind::ConnectionReset, Some("EPIPE"))),
        K::NotConnected => Some((TransportErrorKind::ConnectionReset, Some("ENOTCONN"))),
        K::UnexpectedEof => Some((TransportErrorKind::ConnectionClosed, Some("ECONNRESET"))),
        K::TimedOut => Some((TransportErrorKind::ConnectTimeout, Some("ETIMEDOUT"))),
        K::HostUnreachable => Some((TransportErrorKind::Unreachable, Some("EHOSTUNREACH"))),
        K::NetworkUnreachable | K::NetworkDown => {
            Some((TransportErrorKind::Unreachable, Some("ENETUNREACH")))
        }
        _ => None,
    }
}

fn is_thumbprint_mismatch(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.is::<ThumbprintMismatch>()
        }
        _ => false,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn local_errors_are_distinguished_from_endpoint_errors() {
        for (number, kind, code) in [
            (libc::EADDRNOTAVAIL, TransportErrorKind::Local, "EADDRNOTAVAIL"),
            (libc::EMFILE, TransportErrorKind::Local, "EMFILE"),
            (libc::ENFILE, TransportErrorKind::Local, "ENFILE"),
            (libc::ENOBUFS, TransportErrorKind::Local, "ENOBUFS"),
            (libc::ENOMEM, TransportErrorKind::Local, "ENOMEM"),
            (libc::EACCES, TransportErrorKind::Local, "EACCES"),
            (libc::EPERM, TransportErrorKind::Local, "EPERM"),
            (
                libc::ECONNREFUSED,
                TransportErrorKind::ConnectionRefused,
                "ECONNREFUSED",
            ),
            (
                libc::EHOSTUNREACH,
                TransportErrorKind::Unreachable,
                "EHOSTUNREACH",
            ),
            (libc::ENETUNREACH, TransportErrorKind::Unreachable, "ENETUNREACH"),
            (libc::ETIMEDOUT, TransportErrorKind::ConnectTimeout, "ETIMEDOUT"),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(classify_io_error(&error), Some((kind, Some(code))), "{error}");
        }
        assert_eq!(classify_io_error(&io::Error::from_raw_os_error(libc::EDOM)), None);
    }
}
