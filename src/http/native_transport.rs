//! The native transport: HTTP/1.1 over a connection pool of this crate.
//!
//! It follows no redirects (they could send secrets to another server), decompresses nothing, and uses a proxy only for
//! [`Route::ProxyAware`]. It does not use reqwest's client, which can neither limit the received bytes of a response nor
//! keep a connection back until it is known to be silent (see `connection_pool`).
//!
//! Over 300 lines, because connecting, sending and reading share their types.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, SERVER, WWW_AUTHENTICATE,
};
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use tokio::time::Instant;

use super::connection::{Connection, LimitedBody};
use super::connection_pool::{ConnectionPool, Slot};
use super::connector::{
    ConnectError, Established, Target, connect_request, connect_tcp, open_tunnel, secure,
};
use super::resolver::Resolver;
use super::timer::timeout_at;
use super::tls::{ClientConfigs, ProxyConfig, Roots};
use super::transport_error::{
    connect_timed_out, from_body_error, from_connect_error, from_exchange_error, invalid_request,
};
use super::{
    MAX_BODY_BYTES, Method, NATIVE_TRANSPORT_ID, Request, Response, ResponseFuture, ResponseHeaders,
    ReusableConnection, Route, Transport, TransportError, TransportErrorKind, Url, certificate_pin,
    is_success,
};
use crate::platform::Platform;

/// Identifies a pool of connections: only requests with the same key share connections.
#[derive(Clone, PartialEq, Eq, Hash)]
struct EndpointKey {
    route: Route,
    roots: Roots,
    is_https: bool,
    host: String,
    port: u16,
}

/// The native HTTP client.
pub struct NativeTransport {
    platform: Platform,
    tls_configs: ClientConfigs,
    resolver: Resolver,
    connections: Arc<ConnectionPool<EndpointKey, Connection>>,
}

impl NativeTransport {
    /// Creates a transport without connections.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            tls_configs: ClientConfigs::default(),
            resolver: Resolver::new(),
            connections: ConnectionPool::new(),
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        connect_timeout: Duration,
    ) -> Result<Response, TransportError> {
        let key = EndpointKey::of(request);
        let slot = self.connections.begin(key.clone());
        if !request.needs_new_connection
            && let Some(mut idle) = take_silent_connection(&slot).await
        {
            match exchange_on(&mut idle, request).await {
                // The server closed the connection when the request was sent, and did not respond. A new connection
                // is used instead.
                Err(error) if is_connection_lost(&error) && idle.has_received_nothing() => {}
                exchanged => return Ok(into_response(exchanged?, slot, idle)),
            }
        }
        while let Some(idle) = slot.evict_idle() {
            idle.close().await;
        }
        let tls = self.tls_config(request).await?;
        let connected = timeout_at(
            Instant::now() + connect_timeout,
            connect(&key, tls, &self.resolver),
        )
        .await;
        let mut connection = connected.ok_or_else(connect_timed_out)??;
        let exchanged = exchange_on(&mut connection, request).await?;
        Ok(into_response(exchanged, slot, connection))
    }

    /// Returns the TLS configuration for the endpoint; `None` if it is not https.
    async fn tls_config(&self, request: &Request) -> Result<Option<Arc<ClientConfig>>, TransportError> {
        if request.url.scheme() != "https" {
            return Ok(None);
        }
        if let Route::PinnedCertificate(thumbprint) = &request.route {
            return Ok(Some(Arc::new(certificate_pin::pinned_tls_config(*thumbprint)?)));
        }
        let built = self.tls_configs.get(&self.platform, &request.roots).await?;
        if let Some(warning) = built.warning {
            request.notes.warn(warning);
        }
        Ok(Some(built.config))
    }
}

impl Transport for NativeTransport {
    fn send<'a>(&'a self, request: &'a Request, connect_timeout: Duration) -> ResponseFuture<'a> {
        Box::pin(self.exchange(request, connect_timeout))
    }

    fn id(&self) -> usize {
        NATIVE_TRANSPORT_ID
    }
}

impl EndpointKey {
    fn of(request: &Request) -> Self {
        let url = &request.url;
        Self {
            route: request.route.clone(),
            roots: request.roots.clone(),
            is_https: url.scheme() == "https",
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
        }
    }

    fn target(&self) -> Target {
        Target::new(&self.host, self.port)
    }

    /// Returns the server name of the TLS handshake, which the server's certificate must contain.
    fn server_name(&self) -> String {
        match &self.route {
            Route::TokenProxy {
                server_name: Some(name),
            } => name.clone(),
            _ => self.target().host,
        }
    }
}

/// A response, and whether its connection is reusable.
struct Exchanged {
    response: Response,
    is_reusable: bool,
}

type ConnectionSlot = Slot<EndpointKey, Connection>;

/// Takes connections from the pool until one has been silent. Those that have received a stray byte or the end of the
/// stream are closed.
async fn take_silent_connection(slot: &ConnectionSlot) -> Option<Connection> {
    loop {
        let mut connection = slot.take_idle()?;
        if connection.is_silent().await {
            return Some(connection);
        }
    }
}

fn is_connection_lost(error: &TransportError) -> bool {
    matches!(
        error.kind,
        TransportErrorKind::ConnectionClosed | TransportErrorKind::ConnectionReset
    )
}

/// Establishes a connection and checks that the server has sent nothing before the first request.
async fn connect(
    key: &EndpointKey,
    tls: Option<Arc<ClientConfig>>,
    resolver: &Resolver,
) -> Result<Connection, TransportError> {
    let established = establish(key, tls, resolver).await.map_err(from_connect_error)?;
    let started = Connection::start(established).await;
    let mut connection = started.map_err(|error| from_exchange_error(&error))?;
    if connection.is_silent().await {
        return Ok(connection);
    }
    // With TLS 1.3 a server can reject the client after the handshake. The alert arrives here or with the first response.
    let failure = connection.take_failure();
    Err(failure.map_or_else(
        || TransportError::new(TransportErrorKind::ConnectionClosed),
        |error| from_exchange_error(&error),
    ))
}

async fn establish(
    key: &EndpointKey,
    tls: Option<Arc<ClientConfig>>,
    resolver: &Resolver,
) -> Result<Established, ConnectError> {
    let proxy = match &key.route {
        Route::ProxyAware(config) if key.is_https => proxy_for(config, key)?,
        _ => None,
    };
    let established = match proxy {
        None => connect_tcp(key.target(), resolver, tls.is_some()).await?,
        Some(proxy) => connect_through(proxy, key, tls.clone(), resolver).await?,
    };
    match tls {
        Some(tls) => secure(established, tls, key.server_name()).await,
        None => Ok(established),
    }
}

/// Connects to an endpoint through a proxy. The connection to the proxy has TLS if the URL of the proxy is https.
async fn connect_through(
    proxy: Proxy,
    key: &EndpointKey,
    tls: Option<Arc<ClientConfig>>,
    resolver: &Resolver,
) -> Result<Established, ConnectError> {
    let request = connect_request(&format!("{}:{}", key.host, key.port), proxy.authorization)?;
    let established = connect_tcp(proxy.target.clone(), resolver, true).await?;
    let established = match tls.filter(|_| proxy.is_https) {
        Some(tls) => secure(established, tls, proxy.target.host).await?,
        None => established,
    };
    open_tunnel(established, request).await
}

/// A proxy for an endpoint.
struct Proxy {
    target: Target,
    is_https: bool,
    authorization: Option<HeaderValue>,
}

/// Returns the configured proxy for an endpoint; `None` if there is none or `NO_PROXY` contains the endpoint.
fn proxy_for(config: &ProxyConfig, key: &EndpointKey) -> Result<Option<Proxy>, ConnectError> {
    let Some(proxy_url) = &config.proxy else {
        return Ok(None);
    };
    // The URL may contain a password, so no error repeats it.
    let invalid_url = || ConnectError::Tunnel("HTTPS_PROXY is not the URL of a proxy".to_owned());
    let endpoint = format!("https://{}:{}/", key.host, key.port)
        .parse()
        .map_err(|_| invalid_url())?;
    let matcher = Matcher::builder()
        .https(proxy_url.as_str())
        .no(config.no_proxy.as_deref().unwrap_or_default())
        .build();
    let Some(proxy) = matcher.intercept(&endpoint) else {
        return Ok(None);
    };
    let is_https = proxy.uri().scheme_str() == Some("https");
    let host = proxy.uri().host().ok_or_else(invalid_url)?;
    let port = proxy.uri().port_u16().unwrap_or(if is_https { 443 } else { 80 });
    Ok(Some(Proxy {
        target: Target::new(host, port),
        is_https,
        authorization: proxy.basic_auth().cloned(),
    }))
}

async fn exchange_on(connection: &mut Connection, request: &Request) -> Result<Exchanged, TransportError> {
    let incoming = connection
        .send(hyper_request(request)?)
        .await
        .map_err(|error| from_exchange_error(&error))?;
    let (head, body) = incoming.into_parts();
    let status = head.status.as_u16();
    let read = connection.read_body(body, MAX_BODY_BYTES).await;
    let (body, is_reusable) = match read.map_err(|error| from_body_error(&error))? {
        LimitedBody::Complete(body) => (body, connection.finish().await),
        LimitedBody::TooLarge if is_success(status) => {
            return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
        }
        LimitedBody::TooLarge => (Vec::new(), false), // An error response is classified by its status alone.
    };
    let response = Response {
        status,
        headers: response_headers(&head.headers),
        body,
        secrets: request.secrets.clone(),
        connection: None,
    };
    Ok(Exchanged {
        response,
        is_reusable,
    })
}

/// Attaches the connection to a response, so that the reader of the response decides whether it is reused.
fn into_response(exchanged: Exchanged, slot: ConnectionSlot, connection: Connection) -> Response {
    let Exchanged {
        response,
        is_reusable,
    } = exchanged;
    let reusable = is_reusable.then(|| ReusableConnection::new(move || slot.release(connection)));
    Response {
        connection: reusable,
        ..response
    }
}

fn hyper_request(request: &Request) -> Result<hyper::Request<Full<Bytes>>, TransportError> {
    let url = &request.url;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let method = match request.method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
    };
    let body = request
        .body
        .as_ref()
        .map_or_else(String::new, |body| body.expose_secret().to_owned());
    let mut http_request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| invalid_request(error.to_string()))?;
    let headers = http_request.headers_mut();
    headers.insert(HOST, host_header(url)?);
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            invalid_request(format!(
                "the header {name} contains characters that HTTP does not allow"
            ))
        })?;
        value.set_sensitive(true);
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| invalid_request(error.to_string()))?;
        headers.append(name, value);
    }
    Ok(http_request)
}

fn host_header(url: &Url) -> Result<HeaderValue, TransportError> {
    let host = url.host_str().unwrap_or_default();
    let text = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&text).map_err(|error| invalid_request(error.to_string()))
}

fn response_headers(headers: &HeaderMap) -> ResponseHeaders {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let first = |name| headers.get(name).map(text);
    ResponseHeaders {
        www_authenticate: headers.get_all(WWW_AUTHENTICATE).iter().map(text).collect(),
        retry_after: first(RETRY_AFTER),
        date: first(DATE),
        server: first(SERVER),
        content_type: first(CONTENT_TYPE),
    }
}
