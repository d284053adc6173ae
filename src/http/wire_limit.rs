//! A stream that limits the number of bytes read from it.
//!
//! An HTTP parser does not limit what it reads: a sender can send informational responses, leading zeros of a chunk size
//! and trailers without end. The limit is therefore applied to the stream below the parser.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes received in one exchange, including the TLS handshake and the framing of the body.
pub(super) const WIRE_LIMIT: usize = 2_097_152;
/// The most bytes received in one exchange before the head of its final response is complete.
pub(super) const HEAD_LIMIT: usize = 65_536;

/// The number of bytes that may still be read from a stream. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ReadAllowance(Arc<AtomicUsize>);

impl ReadAllowance {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    pub(super) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize) {
        self.set(self.remaining().saturating_sub(bytes));
    }
}

/// The error of reading from a stream whose [`ReadAllowance`] is exhausted.
#[derive(Debug)]
pub(super) struct WireLimitExceeded;

impl fmt::Display for WireLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response exceeds the limit of received bytes")
    }
}

impl std::error::Error for WireLimitExceeded {}

/// A stream that is read within a [`ReadAllowance`]. Writes are not limited.
pub(super) struct MeteredStream<S> {
    stream: S,
    allowance: ReadAllowance,
}

impl<S> MeteredStream<S> {
    pub(super) fn new(stream: S, allowance: ReadAllowance) -> Self {
        Self { stream, allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowed = self.allowance.remaining();
        if allowed == 0 {
            return Poll::Ready(Err(io::Error::other(WireLimitExceeded)));
        }
        if allowed >= buffer.remaining() {
            // Read into the buffer itself: a smaller buffer would have to be initialized for each read.
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            self.allowance.spend(buffer.filled().len() - before);
            return Poll::Ready(Ok(()));
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        self.allowance.spend(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn reading_beyond_the_allowance_fails_until_it_is_raised() {
        let allowance = ReadAllowance::new(4);
        let mut stream = MeteredStream::new(&b"0123456789"[..], allowance.clone());
        let mut buffer = [0; 8];
        assert_eq!(stream.read(&mut buffer).await.expect("within the allowance"), 4);
        let error = stream.read(&mut buffer).await.expect_err("nothing is left");
        let inner = error.get_ref().expect("an error of its own");
        assert!(inner.is::<WireLimitExceeded>());
        allowance.set(100);
        assert_eq!(stream.read(&mut buffer).await.expect("more is allowed"), 6);
        assert_eq!(allowance.remaining(), 94);
        assert_eq!(stream.read(&mut buffer).await.expect("the end"), 0);
    }
}
