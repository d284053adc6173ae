//! Establishes connections: name resolution, TCP, a proxy's tunnel, TLS.
//!
//! Every address of a name gets its turn within the caller's connect timeout: attempts start 250 ms apart, or as soon as
//! the one before has failed (RFC 8305, section 5), and the first that succeeds wins.

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
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// Takes a host as a URL has it: an IPv6 address stands in brackets there.
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
    /// No address accepted the connection; the error that says most about the endpoint.
    Tcp(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
    /// The proxy refused the tunnel, or did not speak HTTP.
    Tunnel(String),
}

/// The established stream and the allowance for what may be read from its socket.
pub(super) struct Established {
    pub(super) stream: Box<dyn ByteStream>,
    pub(super) allowance: ReadAllowance,
}

/// Connects to a target by TCP.
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
        // A handshake is many small writes, of which none must wait until the one before is acknowledged. A plain
        // request is a single one.
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

/// A socket that acknowledges at once what it has received.
///
/// By Nagle's algorithm a server may hold its next bytes back until then. An acknowledgement that is delayed (by 40 ms
/// on Linux) leaves with the next request, so that a stray response would follow it and look like its response.
///
/// The first response of a connection is acknowledged at once anyway.
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
        // The system goes back to delays by itself whenever something is sent.
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

/// Adds TLS to a stream. The server must convince `config` that it is `server_name`.
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

/// Sends a [`connect_request`] to a proxy. What comes back carries bytes to and from the authority.
pub(super) async fn tunnel(
    established: Established,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Established, ConnectError> {
    let Established { stream, allowance } = established;
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(2 * HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| not_opened(&error))?;
    let mut driver = upgradeable(driver);
    let mut response = pin!(sender.send_request(request));
    let (response, has_ended) = tokio::select! {
        response = response.as_mut() => (response, false),
        // It ends as soon as the proxy has agreed, and with every error.
        _ = &mut driver => (response.await, true),
    };
    let response = response.map_err(|error| not_opened(&error))?;
    // hyper takes no other status for an open tunnel, and would wait for a response's body.
    if response.status() != hyper::StatusCode::OK {
        return Err(ConnectError::Tunnel(format!(
            "it answered {}",
            response.status().as_u16()
        )));
    }
    // The stream is handed over when the driver ends.
    if !has_ended {
        let _ = driver.await;
    }
    let upgraded = hyper::upgrade::on(response).await;
    Ok(Established {
        stream: Box::new(TokioIo::new(upgraded.map_err(|error| not_opened(&error))?)),
        allowance,
    })
}

/// Asks a proxy to connect to `authority`, a host and a port (RFC 9110, section 9.3.6).
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

fn upgradeable(driver: http1::Connection<TokioIo<Box<dyn ByteStream>>, Full<Bytes>>) -> Driver {
    Box::pin(driver.with_upgrades())
}

fn not_opened(error: &hyper::Error) -> ConnectError {
    ConnectError::Tunnel(error.to_string())
}

/// Orders addresses so that the families alternate, starting with that of the first (RFC 8305, section 4).
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
    // Dropping the set ends the attempts that lost.
    let mut attempts = JoinSet::new();
    let mut most_telling: Option<io::Error> = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(socket))) => return Ok(socket),
                Some(Ok(Err(error))) => {
                    most_telling = Some(match most_telling {
                        Some(before) if weight(&before) > weight(&error) => before,
                        _ => error,
                    });
                }
                Some(Err(_)) => {}
                None => return Err(most_telling.unwrap_or_else(no_address)),
            },
            () = sleep(ATTEMPT_DELAY), if waiting.peek().is_some() => {}
        }
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host name has no address")
}

/// Returns how much an error says about the endpoint. An address of a family that this host does not have, such as `::1`
/// of `localhost` in a container without IPv6, must not hide that another address refused the connection.
fn weight(error: &io::Error) -> u8 {
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
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn address_families_alternate() {
        let given = ["[::1]:1", "[::2]:1", "1.0.0.1:1", "1.0.0.2:1", "[::3]:1"].map(address);
        let expected = ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"].map(address);
        assert_eq!(interleave(given.to_vec()), expected);
        assert_eq!(interleave(Vec::new()), []);
    }

    #[tokio::test]
    async fn refused_address_falls_back_to_the_next_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("an address");
        let closed = {
            let unused = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            unused.local_addr().expect("an address")
        };
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
            match timeout(Duration::from_secs(20), tunnel(established, request)).await {
                Ok(Err(ConnectError::Tunnel(reason))) => {
                    assert_eq!(reason, format!("it answered {status}"));
                }
                other => panic!("{:?}", other.map(Result::err)),
            }
            proxy.await.expect("the proxy has ended");
        }
    }

    #[cfg(unix)]
    #[test]
    fn endpoint_errors_precede_local_errors() {
        let weight_of = |number| weight(&io::Error::from_raw_os_error(number));
        for endpoint in [libc::ECONNREFUSED, libc::ECONNRESET, libc::ETIMEDOUT] {
            for way in [libc::ENETUNREACH, libc::EHOSTUNREACH] {
                for local in [libc::EADDRNOTAVAIL, libc::EMFILE, libc::EACCES] {
                    assert!(weight_of(endpoint) > weight_of(way) && weight_of(way) > weight_of(local));
                }
            }
        }
    }
}
