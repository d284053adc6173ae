//! HTTP messages, transport errors, and the [`Transport`] trait; nothing here depends on identities or tokens.
//!
//! [`native_transport`] implements the trait. [`retry_loop`] sends, retries and times out; [`retry_policy`] holds its
//! policies as data, [`waiters`] counts the callers that it serves, and [`timer`] enforces its time limits.
//! [`endpoint_limiter`] holds the limits that all requests to one endpoint share.
//!
//! Over 300 lines, half of which are documentation: the types of the trait's signature are read together.

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

/// Returns whether a response with this status can contain a token (RFC 9110, section 15.3).
pub fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The [`Transport::id`] of the native transport. Each custom network client has an id of its own.
pub const NATIVE_TRANSPORT_ID: usize = 0;
/// The largest response body that is accepted; MSAL.NET has the same limit.
pub const MAX_BODY_BYTES: usize = 1_048_576;

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`, without a body.
    Get,
    /// `POST`, with a form as its body.
    Post,
}

/// How an endpoint is connected to, and how its certificate is verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Without a proxy. An https certificate is verified against the request's [`Roots`].
    Direct,
    /// Without a proxy. The certificate must have this thumbprint; nothing else about it is verified.
    PinnedCertificate(Thumbprint),
    /// Through the proxy of the environment, if there is one. The certificate is verified against the request's
    /// [`Roots`].
    ProxyAware(ProxyConfig),
    /// To the token proxy of an AKS cluster, not through any other proxy. The certificate is verified against the
    /// request's [`Roots`].
    TokenProxy {
        /// The server name of the TLS handshake (SNI), which the certificate must contain; the URL's host if `None`.
        server_name: Option<String>,
    },
}

/// An HTTP request.
#[derive(Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The URL, including the query.
    pub url: Url,
    /// The header fields, including those whose values are secrets.
    pub headers: Vec<(&'static str, Secret)>,
    /// The form of a [`Method::Post`]; it can contain a client assertion.
    pub body: Option<Secret>,
    /// How the endpoint is connected to.
    pub route: Route,
    /// The trust roots for the certificate of an https endpoint.
    pub roots: Roots,
    /// Warnings of the transport for the log.
    pub notes: Notes,
    /// The secrets that this request contains. They are redacted from messages, because the endpoint may echo them.
    pub secrets: Vec<Secret>,
    /// Whether the request must be sent on a new connection.
    pub needs_new_connection: bool,
}

impl Request {
    /// Creates a GET with the header fields that every request has.
    pub fn get(url: Url) -> Self {
        let headers = vec![
            ("Accept", Secret::new("application/json".into())),
            // Responses are not decompressed. Without this field any coding is acceptable (RFC 9110, section 12.5.3).
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

    /// Creates a POST of a form, with the header fields that every request has.
    pub fn post(url: Url, form: String) -> Self {
        let mut request = Self::get(url).header("Content-Type", "application/x-www-form-urlencoded");
        request.method = Method::Post;
        request.body = Some(Secret::new(form));
        request
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value.into())));
        self
    }

    /// Adds a header field whose value is a secret.
    #[must_use]
    pub fn sensitive_header(mut self, name: &'static str, value: Secret) -> Self {
        self.headers.push((name, value.clone()));
        self.with_secret(value)
    }

    /// Records a secret that the request contains, so that it is redacted from messages.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sets the route.
    #[must_use]
    pub fn with_route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Copies the trust roots, and the receiver of warnings about them, from another request to the same endpoint.
    #[must_use]
    pub fn with_roots_of(mut self, other: &Self) -> Self {
        self.roots = other.roots.clone();
        self.notes = other.notes.clone();
        self
    }

    /// Returns whether the endpoint's certificate is verified against the trust roots of this process.
    pub fn needs_process_roots(&self) -> bool {
        self.url.scheme() == "https"
            && !matches!(self.route, Route::PinnedCertificate(_))
            && matches!(self.roots, Roots::Process { .. })
    }
}

/// A warning of a transport about one request, for the log. Clones share the warning.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Option<String>>>);

impl Notes {
    /// Sets the warning.
    pub fn warn(&self, warning: String) {
        *lock(&self.0) = Some(warning);
    }

    /// Takes the warning, so that it is logged only once.
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

/// An HTTP response.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The header fields that this crate reads.
    pub headers: ResponseHeaders,
    /// The body as received, at most [`MAX_BODY_BYTES`] bytes.
    pub body: Vec<u8>,
    /// The secrets of the request. They are redacted from messages about this response.
    pub secrets: Vec<Secret>,
    /// The connection that the response was received on, if it is reusable. It is closed with the response unless
    /// [`keep_connection`](Self::keep_connection) returns it to its pool.
    pub connection: Option<ReusableConnection>,
}

impl Response {
    /// Returns the connection to its pool. Call this only for an expected response: after any other response the
    /// connection is not trusted.
    pub fn keep_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.keep();
        }
    }
}

impl Clone for Response {
    /// Clones everything except the connection, which stays with the original.
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
    /// Creates a handle. `keep` returns the connection to its pool; dropping `keep` without a call closes it.
    pub fn new(keep: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(keep)))
    }

    fn keep(self) {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)();
    }
}

/// The header fields of a response that this crate reads. Invalid UTF-8 is replaced with U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct ResponseHeaders {
    /// Every `WWW-Authenticate` line, in order (RFC 9110, section 11.6.1).
    pub www_authenticate: Vec<String>,
    /// `Retry-After`: seconds, or an HTTP date.
    pub retry_after: Option<String>,
    /// `Date`: the time at the sender, as an HTTP date.
    pub date: Option<String>,
    /// `Server`: the software that created the response.
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

/// The reason for which a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// The endpoint refused the connection.
    ConnectionRefused,
    /// The connection was reset.
    ConnectionReset,
    /// The endpoint closed the connection before a response.
    ConnectionClosed,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// No response within the request timeout.
    RequestTimeout,
    /// A custom network client reported a timeout.
    CustomClientTimeout,
    /// The host or its network is unreachable.
    Unreachable,
    /// This process cannot open a connection: it has no ports or descriptors left, or lacks the permission. Implies
    /// nothing about the endpoint.
    Local,
    /// The host name could not be resolved.
    NameResolution,
    /// The TLS handshake failed.
    Tls,
    /// The server's certificate is not the pinned one.
    ThumbprintMismatch,
    /// The response is not HTTP.
    NotHttp,
    /// The body of a successful response exceeds [`MAX_BODY_BYTES`].
    BodyTooLarge,
    /// The head of a response, or all that was received with it, exceeds its limit (see `wire_limit`).
    WireLimit,
    /// A custom network client failed with an error of its own.
    CustomClient,
    /// The request is invalid: its URL or a header field cannot be sent.
    InvalidRequest,
}

/// A failure to get a response.
#[derive(Clone, Debug)]
pub struct TransportError {
    /// The kind of the failure.
    pub kind: TransportErrorKind,
    /// The underlying error: its code and its message.
    pub cause: Option<Cause>,
}

impl TransportError {
    /// Returns a code for programs: the socket's error code where there is one.
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

    /// Appends a warning to the message of a TLS error, because it may name the cause.
    pub fn explain_tls(&mut self, warning: &str) {
        if self.kind == TransportErrorKind::Tls
            && let Some(cause) = &mut self.cause
        {
            cause.message = format!("{}; {warning}", cause.message);
        }
    }

    /// Creates an error without an underlying one.
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, cause: None }
    }
}

/// The future response to a request.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// Sends requests, without retries and without following redirects.
pub trait Transport: Send + Sync {
    /// Sends a request and reads its response. The caller limits the time of the whole exchange.
    fn send<'a>(&'a self, request: &'a Request, connect_timeout: Duration) -> ResponseFuture<'a>;

    /// Identifies the transport. Only calls with the same transport share an in-flight request.
    fn id(&self) -> usize;

    /// Returns whether exchanges count towards the limit of concurrent requests to their endpoint. A custom client's do
    /// not: one of its requests may have to wait for the end of another one.
    fn needs_request_permit(&self) -> bool {
        true
    }
}
