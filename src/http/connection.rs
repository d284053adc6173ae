//! One HTTP/1.1 connection, driven by the future that waits for its response.
//!
//! hyper parses and frames; this file sees to it that bytes which were not asked for end the connection, and that a
//! response is read within its limits. Nothing polls a connection between two exchanges: what arrived meanwhile is found
//! by [`Connection::is_silent`] before the next request.

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

/// How long a server may take to close its side of a connection that is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(50);

/// A body in tiny chunks is read in turns: the timers of this thread, and other connections, get theirs in between.
const FRAMES_PER_TURN: usize = 64;

type Stream = TokioIo<MeteredStream<Box<dyn ByteStream>>>;
type OutgoingBody = Full<Bytes>;
type Driver = Pin<Box<http1::Connection<Stream, OutgoingBody>>>;

/// A connection that can carry one exchange at a time.
pub(super) struct Connection {
    sender: SendRequest<OutgoingBody>,
    /// Reads and writes; `None` once it has ended.
    driver: Option<Driver>,
    /// What the driver has ended with, where that was an error.
    failure: Option<hyper::Error>,
    /// What may be read from the socket, TLS included.
    wire: ReadAllowance,
    /// What may be read before the head of a response is complete.
    head: ReadAllowance,
}

/// The body of a response, up to a limit.
pub(super) enum LimitedBody {
    Complete(Vec<u8>),
    /// It is longer than the limit, or announces to be.
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
        // Lets the runtime look at its sockets first: what has arrived by now counts.
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
            // The driver hands a response over while it is polled, so that the response is polled after it.
            drive(driver, failure, context);
            response.as_mut().poll(context)
        })
        .await?;
        // From here on the allowance of the socket alone counts.
        self.head.set(usize::MAX);
        Ok(response)
    }

    /// Reads a body of at most `limit` bytes.
    pub(super) async fn read_body(&mut self, body: Incoming, limit: usize) -> hyper::Result<LimitedBody> {
        let announced = body.size_hint().lower();
        if announced > limit as u64 {
            return Ok(LimitedBody::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
        let mut body = pin!(body);
        let mut frames = 0_usize;
        while let Some(frame) = poll_fn(|context| self.poll_frame(body.as_mut(), context)).await {
            // Trailers hold nothing that is looked at.
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

    /// Prepares for a further exchange; `false` if the connection cannot carry one.
    pub(super) async fn finish(&mut self) -> bool {
        poll_fn(|context| {
            self.drive(context);
            Poll::Ready(())
        })
        .await;
        self.wire.set(WIRE_LIMIT);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Closes the connection once the server has closed its side, so that the server never counts one too many.
    pub(super) async fn close(mut self) {
        let Some(driver) = self.driver.take() else { return };
        let mut stream = Pin::into_inner(driver).into_parts().io.into_inner();
        let closed = async {
            stream.shutdown().await?;
            let mut discarded = [0; 1_024];
            while stream.read(&mut discarded).await? > 0 {}
            std::io::Result::Ok(())
        };
        // What remains to be closed after that is closed by dropping it.
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
    }

    /// Takes the error that has ended the connection while no request was on its way.
    pub(super) fn take_failure(&mut self) -> Option<hyper::Error> {
        self.failure.take()
    }

    /// Returns whether nothing of a response has been received since [`send`](Self::send) began.
    pub(super) fn has_received_nothing(&self) -> bool {
        self.head.remaining() == HEAD_LIMIT
    }

    fn poll_frame(
        &mut self,
        mut body: Pin<&mut Incoming>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<hyper::body::Frame<Bytes>>>> {
        // Polled first, since that is how the body asks the driver for more; and again for what the driver has read.
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
    async fn response_before_the_first_request_is_kept() {
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
