//! The native transport: HTTP/1.1 over connections of this crate's own, doing nothing that was not asked for.
//!
//! No redirects (they would carry the secrets away), no proxy (except on the way over the internet), no decompression.
//! The connections are not reqwest's, since reqwest neither lets the bytes of a response be counted nor a connection be
//! held back until it is known to be silent.

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
use super::connector::{ConnectError, Established, Target, connect_request, connect_tcp, secure, tunnel};
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

/// What tells one pool of connections from another.
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
    /// A client that has not connected to anything yet.
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
            && let Some(mut kept) = silent_connection(&slot).await
        {
            match exchange_on(&mut kept, request).await {
                // The server closed the connection while the request was on its way; it has not been answered.
                Err(fault) if is_lost(&fault) && kept.has_received_nothing() => {}
                ended => return Ok(respond(ended?, slot, kept)),
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
        Ok(respond(exchanged, slot, connection))
    }

    /// The TLS configuration of an https endpoint.
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

    /// The name that the TLS handshake asks for, and that the server's certificate must have.
    fn server_name(&self) -> String {
        match &self.route {
            Route::TokenProxy {
                server_name: Some(name),
            } => name.clone(),
            _ => self.target().host,
        }
    }
}

/// What came back, and whether the connection can carry a further exchange.
struct Exchanged {
    response: Response,
    is_reusable: bool,
}

type ConnectionSlot = Slot<EndpointKey, Connection>;

/// Takes connections from the pool until one is as it was left: a stray byte or the end of the stream closes it.
async fn silent_connection(slot: &ConnectionSlot) -> Option<Connection> {
    loop {
        let mut connection = slot.take_idle()?;
        if connection.is_silent().await {
            return Some(connection);
        }
    }
}

fn is_lost(fault: &TransportError) -> bool {
    matches!(
        fault.kind,
        TransportErrorKind::ConnectionClosed | TransportErrorKind::ConnectionReset
    )
}

/// A connection that has received nothing yet.
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
    // With TLS 1.3 a server refuses a client after the handshake: that is told here or by the first response.
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
        Route::ProxyAware(internet) if key.is_https => proxy_for(internet, key)?,
        _ => None,
    };
    let established = match proxy {
        None => connect_tcp(key.target(), resolver, tls.is_some()).await?,
        Some(proxy) => connect_by(proxy, key, tls.clone(), resolver).await?,
    };
    match tls {
        Some(tls) => secure(established, tls, key.server_name()).await,
        None => Ok(established),
    }
}

/// Connects to an endpoint through a proxy, which is reached by TLS itself if its URL says so.
async fn connect_by(
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
    tunnel(established, request).await
}

/// A proxy that an endpoint is reached by.
struct Proxy {
    target: Target,
    is_https: bool,
    authorization: Option<HeaderValue>,
}

/// The proxy that the environment names for an endpoint, unless `NO_PROXY` excepts it.
fn proxy_for(internet: &ProxyConfig, key: &EndpointKey) -> Result<Option<Proxy>, ConnectError> {
    let Some(address) = &internet.proxy else {
        return Ok(None);
    };
    // The address may hold a password: no error repeats it.
    let wrong = || ConnectError::Tunnel("HTTPS_PROXY is not the URL of a proxy".to_owned());
    let endpoint = format!("https://{}:{}/", key.host, key.port)
        .parse()
        .map_err(|_| wrong())?;
    let matcher = Matcher::builder()
        .https(address.as_str())
        .no(internet.no_proxy.as_deref().unwrap_or_default())
        .build();
    let Some(proxy) = matcher.intercept(&endpoint) else {
        return Ok(None);
    };
    let is_https = proxy.uri().scheme_str() == Some("https");
    let host = proxy.uri().host().ok_or_else(wrong)?;
    let port = proxy.uri().port_u16().unwrap_or(if is_https { 443 } else { 80 });
    Ok(Some(Proxy {
        target: Target::new(host, port),
        is_https,
        authorization: proxy.basic_auth().cloned(),
    }))
}

async fn exchange_on(connection: &mut Connection, request: &Request) -> Result<Exchanged, TransportError> {
    let incoming = connection
        .send(message(request)?)
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
        LimitedBody::TooLarge => (Vec::new(), false), // The status says enough.
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

/// The response, and with it the connection, for the reader of the response to keep or to close.
fn respond(exchanged: Exchanged, slot: ConnectionSlot, connection: Connection) -> Response {
    let Exchanged {
        response,
        is_reusable,
    } = exchanged;
    let reusable = is_reusable.then(|| ReusableConnection::new(move || slot.put_back(connection)));
    Response {
        connection: reusable,
        ..response
    }
}

fn message(request: &Request) -> Result<hyper::Request<Full<Bytes>>, TransportError> {
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
    let mut message = hyper::Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| invalid_request(error.to_string()))?;
    let headers = message.headers_mut();
    headers.insert(HOST, host_header(url)?);
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            invalid_request(format!(
                "the header {name} holds characters that HTTP cannot carry"
            ))
        })?;
        value.set_sensitive(true);
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| invalid_request(error.to_string()))?;
        headers.append(name, value);
    }
    Ok(message)
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
