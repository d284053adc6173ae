//! The native transport: reqwest, told to do nothing that was not asked for.
//!
//! No redirects (they would carry the secrets away), no proxy (but on the way over the internet),
//! no retries and no decompression of its own. A connection is kept for a while, so that the
//! next token needs no new one; nothing of it holds the process open.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, SERVER, WWW_AUTHENTICATE};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::connect::{InTime, NotInTime, within};
use super::pinned::{self, Mismatch};
use super::trust::{self, ClientConfigs, Roots};
use super::{
    BODY_LIMIT, Exchange, Fault, FaultKind, Method, Request, Response, ResponseHeaders, Route, Transport,
    is_success,
};
use crate::error::Cause;
use crate::machine::Machine;

/// A connection that nobody used for this long is closed: sooner than a Node.js server closes it
/// (5 s), so that a request never meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(4);
/// Clients that are kept. A process has one or two; more come from pins that change.
const CLIENTS: usize = 8;
/// The `id` of this transport; callers' own clients have others.
pub const NATIVE: usize = 0;

/// What makes one client differ from another.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    route: Route,
    https: bool,
    roots: Roots,
    /// On the way over the internet, where a host has several addresses, which the client gives equal parts of it.
    connect_timeout: Option<Duration>,
}

/// The native HTTP client.
pub struct NativeTransport {
    machine: Machine,
    clients: Mutex<HashMap<Kind, Client>>,
    tls: ClientConfigs,
}

impl NativeTransport {
    /// A client that has not connected to anything yet.
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            clients: Mutex::default(),
            tls: ClientConfigs::default(),
        }
    }

    fn client(&self, request: &Request, connect_timeout: Duration) -> Result<Client, Fault> {
        let https = request.url.scheme() == "https";
        let kind = Kind {
            route: request.route.clone(),
            https,
            roots: request.roots.clone(),
            connect_timeout: matches!(request.route, Route::Internet(_)).then_some(connect_timeout),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = self.build(&kind, request)?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(kind, client.clone());
        Ok(client)
    }

    fn build(&self, kind: &Kind, request: &Request) -> Result<Client, Fault> {
        let tls = match &kind.route {
            _ if !kind.https => trust::nobody()?,
            Route::Pinned(thumbprint) => pinned::only(*thumbprint)?,
            Route::Direct | Route::Internet(_) | Route::TokenProxy { .. } => {
                let built = self.tls.get(&self.machine, &kind.roots)?;
                if let Some(warning) = built.warning {
                    request.notes.warn(warning);
                }
                ClientConfig::clone(&built.config)
            }
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_idle_timeout(IDLE);
        builder = match kind.connect_timeout {
            Some(limit) => builder.connect_timeout(limit),
            None => builder.connector_layer(InTime),
        };
        if let Route::Internet(internet) = &kind.route
            && let Some(proxy) = &internet.proxy
        {
            let no_proxy = internet
                .no_proxy
                .as_deref()
                .and_then(reqwest::NoProxy::from_string);
            // The address may hold a password, so reqwest's words about it are not passed on.
            let proxy = reqwest::Proxy::https(proxy.as_str())
                .map_err(|_| unsendable("HTTPS_PROXY is not the URL of a proxy".to_owned()))?;
            builder = builder.proxy(proxy.no_proxy(no_proxy));
        }
        builder.build().map_err(|error| fault(&error.without_url()))
    }

    async fn exchange(&self, request: &Request, connect_timeout: Duration) -> Result<Response, Fault> {
        let client = self.client(request, connect_timeout)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut outgoing = client.request(method, request.url.clone());
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                unsendable(format!(
                    "the header {name} holds characters that HTTP cannot carry"
                ))
            })?;
            value.set_sensitive(true);
            outgoing = outgoing.header(*name, value);
        }
        if let Some(body) = &request.body {
            outgoing = outgoing.body(body.expose().to_owned());
        }
        let mut incoming = outgoing
            .send()
            .await
            .map_err(|error| fault(&error.without_url()))?;
        let headers = response_headers(incoming.headers());
        let status = incoming.status().as_u16();
        let body = match whole(&mut incoming).await? {
            Some(body) => body,
            None if is_success(status) => return Err(Fault::of(FaultKind::BodyTooLarge)),
            None => Zeroizing::default(), // The status says enough.
        };
        Ok(Response {
            status,
            headers,
            body,
            secrets: request.secrets.clone(),
        })
    }
}

impl Transport for NativeTransport {
    fn send<'a>(&'a self, request: &'a Request, connect_timeout: Duration) -> Exchange<'a> {
        Box::pin(within(connect_timeout, self.exchange(request, connect_timeout)))
    }

    fn id(&self) -> usize {
        NATIVE
    }
}

/// The body of an answer; `None` if it is over the limit.
async fn whole(incoming: &mut reqwest::Response) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    let announced = incoming
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    if announced > BODY_LIMIT {
        return Ok(None);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced));
    while let Some(chunk) = incoming
        .chunk()
        .await
        .map_err(|error| broken_off(&error.without_url()))?
    {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
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

fn unsendable(message: String) -> Fault {
    Fault {
        kind: FaultKind::Unsendable,
        cause: Some(Cause { code: None, message }),
    }
}

/// Tells what kind of fault reqwest met, from the chain of errors behind its own.
fn fault(error: &reqwest::Error) -> Fault {
    let chain = chain(error);
    let mut words: Vec<_> = chain.iter().map(ToString::to_string).collect();
    words.dedup(); // Wrappers repeat what they wrap.
    let message = words.join(": ");
    let io = chain
        .iter()
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .next_back();
    let hyper = chain
        .iter()
        .find_map(|error| error.downcast_ref::<hyper::Error>());
    let rustls = chain
        .iter()
        .find_map(|error| error.downcast_ref::<rustls::Error>());
    let (kind, code) = if let Some(rustls) = rustls {
        (
            if is_mismatch(rustls) {
                FaultKind::ThumbprintMismatch
            } else {
                FaultKind::Tls
            },
            None,
        )
    } else if error.is_timeout() || chain.iter().any(|error| error.is::<NotInTime>()) {
        (FaultKind::ConnectTimeout, Some("ETIMEDOUT"))
    } else if let Some(known) = io.and_then(of_io) {
        known
    } else if hyper.is_some_and(hyper::Error::is_parse) {
        (FaultKind::NotHttp, None)
    } else if error.is_builder() {
        (FaultKind::Unsendable, None)
    } else if is_lookup(&chain) {
        (FaultKind::NameResolution, Some("ENOTFOUND"))
    } else if error.is_connect() {
        (FaultKind::Unroutable, None)
    } else if error.is_body() || error.is_decode() {
        // The answer began and broke off.
        (FaultKind::Reset, Some("ECONNRESET"))
    } else {
        (FaultKind::Closed, Some("ECONNRESET"))
    };
    Fault {
        kind,
        cause: Some(Cause { code, message }),
    }
}

/// The same, of an answer that had begun.
fn broken_off(error: &reqwest::Error) -> Fault {
    let mut fault = fault(error);
    if fault.kind == FaultKind::Closed {
        fault.kind = FaultKind::Reset;
    }
    fault
}

/// The errors behind an error. `io::Error` hides its payload from `source()`, so it is asked itself.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut chain = vec![error];
    loop {
        let last = chain[chain.len() - 1];
        let payload = last.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let next = match payload {
            Some(payload) => {
                let payload: &(dyn StdError + 'static) = payload;
                Some(payload)
            }
            None => last.source(),
        };
        match next {
            Some(next) => chain.push(next),
            None => return chain,
        }
    }
}

fn of_io(error: &io::Error) -> Option<(FaultKind, Option<&'static str>)> {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => Some((FaultKind::Refused, Some("ECONNREFUSED"))),
        K::ConnectionReset | K::ConnectionAborted => Some((FaultKind::Reset, Some("ECONNRESET"))),
        K::BrokenPipe => Some((FaultKind::Reset, Some("EPIPE"))),
        K::NotConnected => Some((FaultKind::Reset, Some("ENOTCONN"))),
        K::UnexpectedEof => Some((FaultKind::Closed, Some("ECONNRESET"))),
        K::TimedOut => Some((FaultKind::ConnectTimeout, Some("ETIMEDOUT"))),
        K::HostUnreachable => Some((FaultKind::Unroutable, Some("EHOSTUNREACH"))),
        K::NetworkUnreachable | K::NetworkDown => Some((FaultKind::Unroutable, Some("ENETUNREACH"))),
        K::AddrNotAvailable => Some((FaultKind::Unroutable, Some("EADDRNOTAVAIL"))),
        K::PermissionDenied => Some((FaultKind::Unroutable, Some("EACCES"))),
        _ => None,
    }
}

fn is_mismatch(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => other.0.is::<Mismatch>(),
        _ => false,
    }
}

/// hyper-util's error for a failed look-up has no type that can be named; its words are fixed.
fn is_lookup(chain: &[&(dyn StdError + 'static)]) -> bool {
    chain
        .iter()
        .any(|error| error.to_string().starts_with("dns error"))
}

/// The native transport, shared by all applications of a process.
pub fn shared(machine: Machine) -> Arc<dyn Transport> {
    Arc::new(NativeTransport::new(machine))
}
