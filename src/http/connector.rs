//! Establishes connections: name resolution, TCP, the tunnel through a proxy, TLS.
//!
//! All addresses of a name are tried within the caller's connect timeout. Attempts start 250 ms apart, or as soon as the
//! one before has failed (RFC 8305, section 5), and the first one that succeeds is used.
//!
//! Over 300 lines, because the steps share their types and are read in this order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::local_error;
use super::resolver::Resolver;
use super::wire_limit::{HEAD_LIMIT, MeteredStream, ReadAllowance, WIRE_LIMIT};

/// RFC 8305's recommended delay between the starts of two connection attempts.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connected byte stream.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// A host and a port to connect to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// A host name, or an IP address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// Creates a target from the host of a URL, where an IPv6 address is in brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Self {
            host: bare.unwrap_or(host).to_owned(),
            port,
        }
    }
}

/// Why a connection could not be established.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The name could not be resolved.
    NameResolution(io::Error),
    /// No address accepted the connection. Has the error that says most about the endpoint (see [`relevance`]).
    Tcp(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
    /// The proxy refused the tunnel, or its response was not HTTP.
    Tunnel(String),
}

/// An established stream, and how much may still be read from its socket.
pub(super) struct Established {
    pub(super) stream: Box<dyn ByteStream>,
    pub(super) allowance: ReadAllowance,
}

/// Opens a TCP connection.
pub(super) async fn connect_tcp(
    target: Target,
    resolver: &Resolver,
    is_for_tls: bool,
) -> Result<Established, ConnectError> {
    let socket = if let Ok(address) = target.host.parse::<IpAddr>() {
        TcpStream::connect((address, target.port)).await
    } else {
        let addresses = resolver
            .resolve(target.host, target.port)
            .await
            .map_err(ConnectError::NameResolution)?;
        connect_to_first(interleave(addresses)).await
    };
    let socket = socket.map_err(ConnectError::Tcp)?;
    if is_for_tls {
        // A handshake consists of several small writes, which must not wait for acknowledgements (Nagle's algorithm). A
        // request without TLS is one write.
        let _ = socket.set_nodelay(true);
    }
    let allowance = ReadAllowance::new(WIRE_LIMIT);
    Ok(Established {
        stream: Box::new(MeteredStream::new(
            AcknowledgingSocket::new(socket),
            allowance.clone(),
        )),
        allowance,
    })
}

/// A socket that acknowledges received data at once.
///
/// By Nagle's algorithm a server may hold its next bytes back until its last ones are acknowledged. A delayed
/// acknowledgement (by 40 ms on Linux) may be sent together with the next request. A stray response would then arrive
/// after that request and look like its response.
///
/// Linux acknowledges the first response of a connection at once by default.
struct AcknowledgingSocket {
    socket: TcpStream,
    writes: usize,
}

impl AcknowledgingSocket {
    fn new(socket: TcpStream) -> Self {
        Self { socket, writes: 0 }
    }
}

impl AsyncRead for AcknowledgingSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        // Set after every read: the system delays acknowledgements again whenever data is sent.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.writes > 1 && buffer.filled().len() > before {
            let _ = self.socket.set_quickack(true);
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = before;
        read
    }
}

impl AsyncWrite for AcknowledgingSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Performs a TLS handshake on a stream. `config` verifies that the server is `server_name`.
pub(super) async fn secure(
    established: Established,
    config: Arc<ClientConfig>,
    server_name: String,
) -> Result<Established, ConnectError> {
    let Established { stream, allowance } = established;
    let name =
        ServerName::try_from(server_name).map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
    let secured = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(ConnectError::Tls)?;
    Ok(Established {
        stream: Box::new(secured),
        allowance,
    })
}

/// Sends a [`connect_request`] to a proxy. Returns the stream to the authority.
pub(super) async fn open_tunnel(
    established: Established,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Established, ConnectError> {
    let Established { stream, allowance } = established;
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(2 * HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| tunnel_error(&error))?;
    let mut driver = with_upgrades(driver);
    let mut response = pin!(sender.send_request(request));
    let (response, has_ended) = tokio::select! {
        response = response.as_mut() => (response, false),
        // The driver ends as soon as the proxy has accepted, and with every error.
        _ = &mut driver => (response.await, true),
    };
    let response = response.map_err(|error| tunnel_error(&error))?;
    // hyper upgrades after a 200 only; after any other status it would wait for the body of the response.
    if response.status() != hyper::StatusCode::OK {
        return Err(ConnectError::Tunnel(format!(
            "it responded with status {}",
            response.status().as_u16()
        )));
    }
    // The driver hands the stream over when it ends.
    if !has_ended {
        let _ = driver.await;
    }
    let upgraded = hyper::upgrade::on(response).await;
    Ok(Established {
        stream: Box::new(TokioIo::new(upgraded.map_err(|error| tunnel_error(&error))?)),
        allowance,
    })
}

/// Creates the request for a tunnel to `authority`, a host and a port (RFC 9110, section 9.3.6).
pub(super) fn connect_request(
    authority: &str,
    authorization: Option<HeaderValue>,
) -> Result<hyper::Request<Full<Bytes>>, ConnectError> {
    let mut request = hyper::Request::connect(authority).header(HOST, authority);
    if let Some(authorization) = authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    request
        .body(Full::default())
        .map_err(|error| ConnectError::Tunnel(error.to_string()))
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

fn with_upgrades(driver: http1::Connection<TokioIo<Box<dyn ByteStream>>, Full<Bytes>>) -> Driver {
    Box::pin(driver.with_upgrades())
}

fn tunnel_error(error: &hyper::Error) -> ConnectError {
    ConnectError::Tunnel(error.to_string())
}

/// Orders addresses so that the families alternate, starting with the family of the first one (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let starts_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == starts_with_v6);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before {
            return ordered;
        }
    }
}

async fn connect_to_first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter().peekable();
    // Dropping the set aborts the attempts that are still running.
    let mut attempts = JoinSet::new();
    let mut most_relevant: Option<io::Error> = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(socket))) => return Ok(socket),
                Some(Ok(Err(error))) => {
                    most_relevant = Some(match most_relevant {
                        Some(before) if relevance(&before) > relevance(&error) => before,
                        _ => error,
                    });
                }
                Some(Err(_)) => {}
                None => return Err(most_relevant.unwrap_or_else(no_address)),
            },
            () = sleep(ATTEMPT_DELAY), if waiting.peek().is_some() => {}
        }
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host name has no address")
}

/// Ranks errors by how much they say about the endpoint. For an address of a family that this host does not support, such
/// as `::1` of `localhost` in a container without IPv6, the error must not hide that another address refused the
/// connection.
fn relevance(error: &io::Error) -> u8 {
    if local_error::code(error).is_some() {
        0
    } else if matches!(
        error.kind(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    ) {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn address_families_alternate() {
        let addresses = ["[::1]:1", "[::2]:1", "1.0.0.1:1", "1.0.0.2:1", "[::3]:1"].map(address);
        let expected = ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"].map(address);
        assert_eq!(interleave(addresses.to_vec()), expected);
        assert_eq!(interleave(Vec::new()), []);
    }

    #[tokio::test]
    async fn refused_address_falls_back_to_the_next_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("an address");
        // A socket that is bound but does not listen: its port refuses connections, and no other socket gets it.
        let unused = TcpSocket::new_v4().expect("a socket");
        unused.bind(address("127.0.0.1:0")).expect("a port");
        let closed = unused.local_addr().expect("an address");
        let socket = connect_to_first(vec![closed, open])
            .await
            .expect("the second address");
        assert_eq!(socket.peer_addr().expect("a peer"), open);
        let refused = connect_to_first(vec![closed]).await.expect_err("nothing listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let none = connect_to_first(Vec::new()).await.expect_err("no address");
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn proxy_status_other_than_200_opens_no_tunnel() {
        for status in [201, 204, 206, 407] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let proxy = tokio::spawn(async move {
                let (mut socket, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 1_024];
                let _ = socket.read(&mut request).await.expect("a request");
                let head = format!("HTTP/1.1 {status} X\r\n\r\n");
                socket.write_all(head.as_bytes()).await.expect("written");
                let _ = socket.read(&mut request).await;
            });
            let target = Target::new("127.0.0.1", port);
            let established = connect_tcp(target, &Resolver::new(), false)
                .await
                .expect("connected");
            let request = connect_request("example:443", None).expect("a request");
            match timeout(Duration::from_secs(20), open_tunnel(established, request)).await {
                Ok(Err(ConnectError::Tunnel(reason))) => {
                    assert_eq!(reason, format!("it responded with status {status}"));
                }
                other => panic!("{:?}", other.map(Result::err)),
            }
            proxy.await.expect("the proxy has ended");
        }
    }

    #[cfg(unix)]
    #[test]
    fn endpoint_errors_are_more_relevant_than_local_errors() {
        let relevance_of = |number| relevance(&io::Error::from_raw_os_error(number));
        for endpoint in [libc::ECONNREFUSED, libc::ECONNRESET, libc::ETIMEDOUT] {
            for route in [libc::ENETUNREACH, libc::EHOSTUNREACH] {
                for local in [libc::EADDRNOTAVAIL, libc::EMFILE, libc::EACCES] {
                    assert!(relevance_of(endpoint) > relevance_of(route));
                    assert!(relevance_of(route) > relevance_of(local));
                }
            }
        }
    }
}
