//! HTTP as this crate needs it: a request, a response, what can go wrong between them, and the
//! transport that carries them.
//!
//! Knows nothing of identities and tokens. [`native_transport`] is the native transport, [`retry_loop`] the one loop
//! that sends, retries and times out, [`retry_policy`] its policies as data, [`waiters`] the callers that it
//! works for, [`timer`] its limits, [`endpoint_limiter`] what all requests to one endpoint share.

pub mod attempt_stats;
pub mod certificate_pin;
mod connection;
mod connection_pool;
mod connector;
pub mod endpoint_limiter;
pub mod local_error;
pub mod native_transport;
mod resolver;
pub mod retry_loop;
pub mod retry_policy;
pub mod timer;
pub mod tls;
mod transport_error;
pub mod waiters;
mod wire_limit;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use reqwest::Url;

use self::certificate_pin::Thumbprint;
use self::tls::{ProxyConfig, Roots};
use crate::error::Cause;
use crate::locking::lock;
use crate::token::Secret;

/// Returns whether a response of this status can hold a token.
pub fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The [`Transport::id`] of the native transport; callers' own clients have others.
pub const NATIVE_TRANSPORT_ID: usize = 0;
/// A body over this is refused: MSAL.NET's cap.
pub const MAX_BODY_BYTES: usize = 1_048_576;

/// What a request does to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Sends a form.
    Post,
}

/// How the endpoint is reached, and what it must prove.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Straight to it, never by a proxy; https is verified against the request's [`Roots`].
    Direct,
    /// Straight to it; its certificate must have this thumbprint, and nothing else is asked of it.
    PinnedCertificate(Thumbprint),
    /// Over the internet, with the proxy of the environment; verified against the request's [`Roots`].
    ProxyAware(ProxyConfig),
    /// Straight to the token proxy of an AKS cluster, never by another proxy; verified against the request's [`Roots`].
    TokenProxy {
        /// The name that the TLS handshake asks for (SNI) and that the certificate must have, in place of the URL's host.
        server_name: Option<String>,
    },
}

/// A request, ready to go.
#[derive(Clone)]
pub struct Request {
    /// What it does.
    pub method: Method,
    /// Where it goes, query included.
    pub url: Url,
    /// What goes along, secrets included.
    pub headers: Vec<(&'static str, Secret)>,
    /// A form, for [`Method::Post`]; it may hold an assertion.
    pub body: Option<Secret>,
    /// How the endpoint is reached.
    pub route: Route,
    /// What may vouch for the certificate of an https endpoint.
    pub roots: Roots,
    /// What the transport has to tell the reader of the log.
    pub notes: Notes,
    /// What must not show up in any message, should the endpoint echo it.
    pub secrets: Vec<Secret>,
    /// Whether a connection of its own is to be made for it.
    pub needs_new_connection: bool,
}

impl Request {
    /// A GET with the headers that every request carries.
    pub fn get(url: Url) -> Self {
        let headers = vec![
            ("Accept", Secret::new("application/json".into())),
            // Without it any coding is acceptable (RFC 9110 12.5.3), and no response is ever decompressed.
            ("Accept-Encoding", Secret::new("identity".into())),
            (
                "User-Agent",
                Secret::new(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).into()),
            ),
        ];
        Self {
            method: Method::Get,
            url,
            headers,
            body: None,
            route: Route::Direct,
            roots: Roots::default(),
            notes: Notes::default(),
            secrets: Vec::new(),
            needs_new_connection: false,
        }
    }

    /// A POST of a form.
    pub fn post(url: Url, form: String) -> Self {
        let mut request = Self::get(url).header("Content-Type", "application/x-www-form-urlencoded");
        request.method = Method::Post;
        request.body = Some(Secret::new(form));
        request
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value.into())));
        self
    }

    /// The same with a secret header more.
    #[must_use]
    pub fn sensitive_header(mut self, name: &'static str, value: Secret) -> Self {
        self.headers.push((name, value.clone()));
        self.with_secret(value)
    }

    /// The same with a secret more that it holds.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The same by another route.
    #[must_use]
    pub fn with_route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// The same, verified against the roots of another request to the same endpoint.
    #[must_use]
    pub fn with_roots_of(mut self, other: &Self) -> Self {
        self.roots = other.roots.clone();
        self.notes = other.notes.clone();
        self
    }

    /// Whether its endpoint is verified against the roots of this process.
    pub fn needs_process_roots(&self) -> bool {
        self.url.scheme() == "https"
            && !matches!(self.route, Route::PinnedCertificate(_))
            && matches!(self.roots, Roots::Process { .. })
    }
}

/// What a transport has to tell the reader of the log about a request, beside its outcome.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Option<String>>>);

impl Notes {
    /// Leaves a warning.
    pub fn warn(&self, warning: String) {
        *lock(&self.0) = Some(warning);
    }

    /// Takes the warning, so that it is told once.
    pub fn take_warning(&self) -> Option<String> {
        lock(&self.0).take()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}

/// What came back.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers that this crate reads.
    pub headers: ResponseHeaders,
    /// The body as it came, at most [`MAX_BODY_BYTES`] bytes.
    pub body: Vec<u8>,
    /// What was sent and must not show up in any message about this answer.
    pub secrets: Vec<Secret>,
    /// The connection that brought it, if it can carry a further exchange: closed with the response unless it is kept.
    pub connection: Option<ReusableConnection>,
}

impl Response {
    /// Lets further exchanges use the connection that brought this response, which is what it should be.
    pub fn keep_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.keep();
        }
    }
}

impl Clone for Response {
    /// A copy has no connection: that stays with the original.
    fn clone(&self) -> Self {
        Self {
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.clone(),
            secrets: self.secrets.clone(),
            connection: None,
        }
    }
}

/// A connection whose response has been read.
pub struct ReusableConnection(Mutex<Box<dyn FnOnce() + Send>>);

impl ReusableConnection {
    /// `keep` puts the connection back; the connection is closed when `keep` is dropped without being called.
    pub fn new(keep: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(keep)))
    }

    fn keep(self) {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)();
    }
}

/// The header fields of a response that this crate reads. Bytes outside of UTF-8 are replaced.
#[derive(Clone, Debug, Default)]
pub struct ResponseHeaders {
    /// Every `WWW-Authenticate` line, in order (RFC 9110 11.6.1).
    pub www_authenticate: Vec<String>,
    /// `Retry-After`: seconds, or an HTTP date.
    pub retry_after: Option<String>,
    /// `Date`: the time of the sender, as an HTTP date.
    pub date: Option<String>,
    /// `Server`: the software that answered.
    pub server: Option<String>,
    /// `Content-Type`: the media type of the body.
    pub content_type: Option<String>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What kept an answer from coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// Nobody listens.
    ConnectionRefused,
    /// The connection broke.
    ConnectionReset,
    /// The connection was closed before an answer.
    ConnectionClosed,
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    RequestTimeout,
    /// A caller's own client gave up.
    CustomClientTimeout,
    /// No way to the host.
    Unreachable,
    /// This process itself cannot open a connection: it has no ports or descriptors left, or is not allowed to. Says
    /// nothing about the endpoint.
    Local,
    /// The host's name is unknown.
    NameResolution,
    /// The TLS handshake failed.
    Tls,
    /// The server's certificate is another than the pinned one.
    ThumbprintMismatch,
    /// The answer is no HTTP.
    NotHttp,
    /// The body of a success is over [`MAX_BODY_BYTES`].
    BodyTooLarge,
    /// More was received than the head or the whole of a response may have.
    WireLimit,
    /// A caller's own client failed in a way of its own.
    CustomClient,
    /// The request could not be made: a header or the address cannot be sent.
    InvalidRequest,
}

/// Why no answer came.
#[derive(Clone, Debug)]
pub struct TransportError {
    /// What kind of fault it was.
    pub kind: TransportErrorKind,
    /// The words of whoever noticed it.
    pub cause: Option<Cause>,
}

impl TransportError {
    /// Its name for programs: a socket's code where there is one.
    pub fn code(&self) -> &'static str {
        let code = self.cause.as_ref().and_then(|cause| cause.code);
        code.unwrap_or(match self.kind {
            TransportErrorKind::ConnectionRefused => "ECONNREFUSED",
            TransportErrorKind::ConnectionReset | TransportErrorKind::ConnectionClosed => "ECONNRESET",
            TransportErrorKind::ConnectTimeout
            | TransportErrorKind::RequestTimeout
            | TransportErrorKind::CustomClientTimeout => "ETIMEDOUT",
            TransportErrorKind::Unreachable => "EHOSTUNREACH",
            TransportErrorKind::Local => "ERR_LOCAL",
            TransportErrorKind::NameResolution => "ENOTFOUND",
            TransportErrorKind::Tls | TransportErrorKind::ThumbprintMismatch => "ERR_TLS",
            TransportErrorKind::NotHttp => "ERR_HTTP",
            TransportErrorKind::BodyTooLarge => "ERR_BODY_TOO_LARGE",
            TransportErrorKind::WireLimit => "ERR_RESPONSE_TOO_LARGE",
            TransportErrorKind::CustomClient => "ERR_NETWORK_CLIENT",
            TransportErrorKind::InvalidRequest => "ERR_UNSENDABLE",
        })
    }

    /// Adds to a TLS fault what may have caused it.
    pub fn explain_tls(&mut self, warning: &str) {
        if self.kind == TransportErrorKind::Tls
            && let Some(cause) = &mut self.cause
        {
            cause.message = format!("{}; {warning}", cause.message);
        }
    }

    /// A fault without further words.
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, cause: None }
    }
}

/// An answer that is on its way.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// Carries a request to its endpoint and the answer back: no retries, no redirects.
pub trait Transport: Send + Sync {
    /// One exchange. The caller puts a time limit on the whole of it.
    fn send<'a>(&'a self, request: &'a Request, connect_timeout: Duration) -> ResponseFuture<'a>;

    /// Distinguishes transports: callers share a flight only if they share the transport.
    fn id(&self) -> usize;

    /// Whether its exchanges count among the connections to their endpoint. They must not where one exchange may need
    /// another's end.
    fn needs_request_permit(&self) -> bool {
        true
    }
}
