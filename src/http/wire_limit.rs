//! A stream that counts the bytes that are read from it, and refuses to read more than it is allowed to.
//!
//! An HTTP parser cannot bound what it reads: informational responses, the digits of a chunk's size and trailers can go
//! on for as long as the sender likes. The bound is therefore set on the stream below the parser.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// All bytes of one exchange that may be received, the TLS handshake and the framing of the body included.
pub(super) const WIRE_LIMIT: usize = 2_097_152;
/// The bytes of one exchange that may be received before the head of its final response is complete.
pub(super) const HEAD_LIMIT: usize = 65_536;

/// How many more bytes may be read from a stream. Clones share one number.
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

/// The error of a stream whose [`ReadAllowance`] is used up.
#[derive(Debug)]
pub(super) struct WireLimitExceeded;

impl fmt::Display for WireLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more bytes were received than a response may have")
    }
}

impl std::error::Error for WireLimitExceeded {}

/// A stream that is read within a [`ReadAllowance`]. What is written is not limited.
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
            // Without a part of it, which would have to be initialized for each read.
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
