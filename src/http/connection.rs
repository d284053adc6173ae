//! One HTTP/1.1 connection, driven by the future that waits for its response.
//!
//! hyper parses and frames. This module closes the connection after unsolicited bytes and reads a response within its
//! limits. Between two exchanges the connection is not polled: [`Connection::is_silent`] finds bytes that have arrived
//! before the next request is sent.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::connector::{ByteStream, Established};
use super::wire_limit::{HEAD_LIMIT, MeteredStream, ReadAllowance, WIRE_LIMIT};

/// How long to wait for the server to close its side of a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(50);

/// After this many frames of a body, reading yields: a body in tiny chunks must not delay the timers and other
/// connections of this thread.
const FRAMES_PER_TURN: usize = 64;

type Stream = TokioIo<MeteredStream<Box<dyn ByteStream>>>;
type OutgoingBody = Full<Bytes>;
type Driver = Pin<Box<http1::Connection<Stream, OutgoingBody>>>;

/// A connection that can carry one exchange at a time.
pub(super) struct Connection {
    sender: SendRequest<OutgoingBody>,
    /// Reads and writes the stream; `None` after it has ended.
    driver: Option<Driver>,
    /// The error that the driver has ended with.
    failure: Option<hyper::Error>,
    /// How much may be read from the socket, including TLS records.
    wire: ReadAllowance,
    /// How much may be read before the head of a response is complete.
    head: ReadAllowance,
}

/// The body of a response, up to a limit.
pub(super) enum LimitedBody {
    Complete(Vec<u8>),
    /// The body, or its `Content-Length`, exceeds the limit.
    TooLarge,
}

impl Connection {
    /// Starts HTTP on a stream.
    pub(super) async fn start(established: Established) -> hyper::Result<Self> {
        let Established { stream, allowance } = established;
        let head = ReadAllowance::new(HEAD_LIMIT);
        let metered = TokioIo::new(MeteredStream::new(stream, head.clone()));
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(2 * HEAD_LIMIT)
            .handshake(metered)
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
            failure: None,
            wire: allowance,
            head,
        })
    }

    /// Returns whether the connection is open and has received nothing since its last response.
    pub(super) async fn is_silent(&mut self) -> bool {
        // Yields so that the runtime polls its sockets first: bytes that have arrived by now count.
        yield_now().await;
        poll_fn(|context| {
            self.drive(context);
            Poll::Ready(())
        })
        .await;
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        &mut self,
        request: hyper::Request<OutgoingBody>,
    ) -> hyper::Result<hyper::Response<Incoming>> {
        self.head.set(HEAD_LIMIT);
        let mut response = pin!(self.sender.send_request(request));
        let (driver, failure) = (&mut self.driver, &mut self.failure);
        let response = poll_fn(|context| {
            // The driver delivers the response while it is polled, so the response is polled second.
            drive(driver, failure, context);
            response.as_mut().poll(context)
        })
        .await?;
        // From here on only the limit of the socket applies.
        self.head.set(usize::MAX);
        Ok(response)
    }

    /// Reads a body of at most `limit` bytes.
    pub(super) async fn read_body(&mut self, body: Incoming, limit: usize) -> hyper::Result<LimitedBody> {
        let content_length = body.size_hint().lower();
        if content_length > limit as u64 {
            return Ok(LimitedBody::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(content_length).unwrap_or_default());
        let mut body = pin!(body);
        let mut frames = 0_usize;
        while let Some(frame) = poll_fn(|context| self.poll_frame(body.as_mut(), context)).await {
            // Trailers are ignored.
            let Ok(data) = frame?.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Ok(LimitedBody::TooLarge);
            }
            bytes.extend_from_slice(&data);
            frames += 1;
            if frames.is_multiple_of(FRAMES_PER_TURN) {
                yield_now().await;
            }
        }
        Ok(LimitedBody::Complete(bytes))
    }

    /// Prepares for another exchange. Returns `false` if the connection is not reusable.
    pub(super) async fn finish(&mut self) -> bool {
        poll_fn(|context| {
            self.drive(context);
            Poll::Ready(())
        })
        .await;
        self.wire.set(WIRE_LIMIT);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Closes the connection and waits until the server has closed its side, so that the server's count of open
    /// connections is down before a new one is opened.
    pub(super) async fn close(mut self) {
        let Some(driver) = self.driver.take() else { return };
        let mut stream = Pin::into_inner(driver).into_parts().io.into_inner();
        let closed = async {
            stream.shutdown().await?;
            let mut discarded = [0; 1_024];
            while stream.read(&mut discarded).await? > 0 {}
            std::io::Result::Ok(())
        };
        // After the timeout, dropping the stream closes the rest.
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
    }

    /// Takes the error that ended the connection while no request was in progress.
    pub(super) fn take_failure(&mut self) -> Option<hyper::Error> {
        self.failure.take()
    }

    /// Returns whether no byte of a response has been received since [`send`](Self::send) was called.
    pub(super) fn has_received_nothing(&self) -> bool {
        self.head.remaining() == HEAD_LIMIT
    }

    fn poll_frame(
        &mut self,
        mut body: Pin<&mut Incoming>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<hyper::body::Frame<Bytes>>>> {
        // The first poll makes the body request more data from the driver; the second one returns what was read.
        match body.as_mut().poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => {
                self.drive(context);
                body.poll_frame(context)
            }
        }
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.failure, context);
    }
}

fn drive(driver: &mut Option<Driver>, failure: &mut Option<hyper::Error>, context: &mut Context<'_>) {
    let Some(running) = driver else { return };
    if let Poll::Ready(ended) = running.as_mut().poll(context) {
        *driver = None;
        *failure = ended.err();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::AlertDescription;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::super::TransportErrorKind;
    use super::super::transport_error::from_exchange_error;
    use super::*;

    /// A stream on which a TLS server has refused the client after the handshake.
    struct RefusedStream;

    impl AsyncRead for RefusedStream {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, alert)))
        }
    }

    impl AsyncWrite for RefusedStream {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn connection_error_before_the_first_request_is_kept() {
        let established = Established {
            stream: Box::new(RefusedStream),
            allowance: ReadAllowance::new(WIRE_LIMIT),
        };
        let mut connection = Connection::start(established).await.expect("started");
        assert!(!connection.is_silent().await);
        let failure = connection.take_failure().expect("an error");
        assert_eq!(from_exchange_error(&failure).kind, TransportErrorKind::Tls);
        assert!(connection.take_failure().is_none());
    }
}
