//! Fakes of the platform and of the network, for tests. They access neither the operating system nor the network.
//!
//! Over 300 lines in one file, because nearly every test uses several of them together.

#[cfg(test)]
pub(crate) mod proptest;

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::http::NATIVE_TRANSPORT_ID;
use crate::http::{
    Request, Response, ResponseFuture, ResponseHeaders, ReusableConnection, Transport, TransportError,
    TransportErrorKind,
};
use crate::locking::lock;
use crate::options::resource::Resource;
use crate::options::{ApplicationOptions, RawApplicationOptions, UntypedValue};
use crate::platform::{BlockingPool, Clock, Environment, Files, FixedRandom, Platform, ReadError};
use crate::token::Timestamp;

/// The wall-clock time at which every test starts.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A certificate (`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256`), whose key was deleted.
pub(crate) const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUZAYCz8Mhq15Cc/UJ0Oz4+RniTy8wCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDb25lMCAXDTI2MTEyNjEzMzkzM1oYDzIxMjYxMTAyMTMzOTMz
WjAOMQwwCgYDVQQDDANvbmUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAReq49V
Q1wTq6ZcHHBualQkxLobyYUrXSSl8oY5Hh0v2+ns6XTAmRmEjNK+KHNM3E7y6BEu
/DDTp4m3Bnt1qbj8o1MwUTAdBgNVHQ4EFgQUlnCgJXu+lIQxYUaGN+DlKoOwdF8w
HwYDVR0jBBgwFoAUlnCgJXu+lIQxYUaGN+DlKoOwdF8wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiAvYPXEjW2HC2ylnOF9tHhkMHK33kVq29h6VeJP
1FZkeQIhAORq6B6ltRpGMfhJH8oKF4ZBclIJ6YW2oe0YBz99v1uW
-----END CERTIFICATE-----
";

/// A wall clock that advances with Tokio's clock, and can be set ahead or back.
pub(crate) struct FakeClock {
    started_at: Instant,
    ahead: Mutex<Duration>,
    behind: Mutex<Duration>,
}

impl FakeClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            started_at: Instant::now(),
            ahead: Mutex::default(),
            behind: Mutex::default(),
        })
    }

    /// Sets the wall clock ahead, as after the machine was suspended. Tokio's clock does not change.
    pub(crate) fn jump(&self, by: Duration) {
        *lock(&self.ahead) += by;
    }

    /// Sets the wall clock back.
    pub(crate) fn set_back(&self, by: Duration) {
        *lock(&self.behind) += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        START
            .saturating_add(self.started_at.elapsed())
            .saturating_add(*lock(&self.ahead))
            .saturating_sub(*lock(&self.behind))
    }
}

/// An entry of the fake file system.
#[derive(Clone)]
pub(crate) enum FakeEntry {
    File(Vec<u8>),
    /// A link to a file with this content.
    Link(Vec<u8>),
    /// A pipe, a directory or a device.
    Pipe,
    /// A file without read permission.
    Locked,
    /// A file on a file system that hangs until [`HungFile`] is dropped. Afterwards the file is missing.
    Hung(Arc<Hung>),
}

/// Blocks the reads of a file that hangs.
pub(crate) struct Hung {
    started: Semaphore,
    released: Mutex<Receiver<()>>,
}

/// A test's handle of a file that hangs. Dropping it ends the hanging reads.
pub(crate) struct HungFile {
    hung: Arc<Hung>,
    _release: Sender<()>,
}

impl HungFile {
    /// Waits until the next read hangs.
    pub(crate) async fn read(&self) {
        let permit = self.hung.started.acquire().await;
        permit.expect("never closed").forget();
    }
}

/// A file system in memory.
#[derive(Default)]
pub(crate) struct FakeFiles {
    entries: Mutex<HashMap<PathBuf, FakeEntry>>,
    reads: AtomicUsize,
}

impl FakeFiles {
    pub(crate) fn put(&self, path: &str, entry: FakeEntry) {
        lock(&self.entries).insert(path.into(), entry);
    }

    /// Adds a file whose reads hang.
    pub(crate) fn hang(&self, path: &str) -> HungFile {
        let (release, released) = channel();
        let hung = Arc::new(Hung {
            started: Semaphore::new(0),
            released: Mutex::new(released),
        });
        self.put(path, FakeEntry::Hung(hung.clone()));
        HungFile {
            hung,
            _release: release,
        }
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Files for FakeFiles {
    fn is_regular(&self, path: &Path) -> bool {
        matches!(lock(&self.entries).get(path), Some(FakeEntry::File(_)))
    }

    fn read(&self, path: &Path, limit: usize, follow_links: bool) -> Result<Zeroizing<Vec<u8>>, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let entry = lock(&self.entries).get(path).cloned();
        match entry {
            Some(FakeEntry::Hung(hung)) => {
                hung.started.add_permits(1);
                let _ = lock(&hung.released).recv();
                Err(ReadError::Io(io::ErrorKind::NotFound.into()))
            }
            Some(FakeEntry::File(bytes)) if bytes.len() > limit => Err(ReadError::TooLarge),
            Some(FakeEntry::File(bytes)) => Ok(Zeroizing::new(bytes)),
            Some(FakeEntry::Link(bytes)) if follow_links => Ok(Zeroizing::new(bytes)),
            Some(FakeEntry::Link(_) | FakeEntry::Pipe) => Err(ReadError::NotAFile),
            Some(FakeEntry::Locked) => Err(ReadError::PermissionDenied(
                io::ErrorKind::PermissionDenied.into(),
            )),
            None => Err(ReadError::Io(io::ErrorKind::NotFound.into())),
        }
    }
}

/// A response of [`FakeTransport`].
#[derive(Clone, Default)]
pub(crate) struct FakeResponse {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: ResponseHeaders,
}

impl FakeResponse {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    /// A response with a token that is valid for `lifetime` seconds.
    pub(crate) fn token(secret: &str, lifetime: u64) -> Self {
        let body = format!(r#"{{"access_token":"{secret}","expires_in":{lifetime},"token_type":"Bearer"}}"#);
        Self::new(200, body)
    }

    pub(crate) fn retry_after(mut self, value: impl Into<String>) -> Self {
        self.headers.retry_after = Some(value.into());
        self
    }

    pub(crate) fn server(mut self, value: impl Into<String>) -> Self {
        self.headers.server = Some(value.into());
        self
    }

    pub(crate) fn challenge(mut self, value: impl Into<String>) -> Self {
        self.headers.www_authenticate.push(value.into());
        self
    }

    pub(crate) fn to(self, request: &Request) -> Response {
        Response {
            status: self.status,
            headers: self.headers,
            body: self.body.into_bytes(),
            secrets: request.secrets.clone(),
            connection: None,
        }
    }
}

/// The outcome of a request to [`FakeTransport`].
pub(crate) enum FakeOutcome {
    Response(FakeResponse),
    Error(TransportErrorKind),
    /// No connection: an error after the connect timeout.
    NoConnection,
    /// No response, ever.
    Silence,
    Panic,
    After(Duration, Box<FakeOutcome>),
}

impl FakeOutcome {
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }
}

impl From<FakeResponse> for FakeOutcome {
    fn from(response: FakeResponse) -> Self {
        Self::Response(response)
    }
}

impl From<TransportErrorKind> for FakeOutcome {
    fn from(kind: TransportErrorKind) -> Self {
        Self::Error(kind)
    }
}

type Script = dyn Fn(usize, &Request) -> FakeOutcome + Send + Sync;

/// A transport that records requests. A script determines their outcomes.
pub(crate) struct FakeTransport {
    id: usize,
    script: Mutex<Arc<Script>>,
    sent: Mutex<Vec<(Instant, Request)>>,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
    kept_connections: Arc<AtomicUsize>,
}

impl FakeTransport {
    /// Creates a transport whose script gets the number of a request, from 0, and the request.
    pub(crate) fn scripted(
        script: impl Fn(usize, &Request) -> FakeOutcome + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::numbered(NATIVE_TRANSPORT_ID, script)
    }

    /// Creates a transport with another id than that of the native transport.
    pub(crate) fn numbered(
        id: usize,
        script: impl Fn(usize, &Request) -> FakeOutcome + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            script: Mutex::new(Arc::new(script)),
            sent: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            max_in_flight: AtomicUsize::new(0),
            kept_connections: Arc::default(),
        })
    }

    /// Creates a transport that returns the tokens `t0`, `t1`, …, which are valid for `lifetime` seconds.
    pub(crate) fn always_granting(lifetime: u64) -> Arc<Self> {
        Self::scripted(move |nth, _| FakeResponse::token(&format!("t{nth}"), lifetime).into())
    }

    /// Replaces the script. The numbers of requests continue.
    pub(crate) fn set_script(&self, script: impl Fn(usize, &Request) -> FakeOutcome + Send + Sync + 'static) {
        *lock(&self.script) = Arc::new(script);
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.sent).len()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.sent)
            .iter()
            .map(|(_, request)| request.clone())
            .collect()
    }

    /// Returns when each request was sent, in milliseconds after `since`.
    pub(crate) fn times(&self, since: Instant) -> Vec<u128> {
        let sent = lock(&self.sent);
        sent.iter().map(|(at, _)| (*at - since).as_millis()).collect()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.max_in_flight.load(Ordering::Relaxed)
    }

    /// Returns how many connections were returned to the pool after their responses.
    pub(crate) fn kept_connections(&self) -> usize {
        self.kept_connections.load(Ordering::Relaxed)
    }

    fn connection(&self) -> ReusableConnection {
        let kept = self.kept_connections.clone();
        ReusableConnection::new(move || {
            kept.fetch_add(1, Ordering::Relaxed);
        })
    }
}

impl Transport for FakeTransport {
    fn send<'a>(&'a self, request: &'a Request, connect_timeout: Duration) -> ResponseFuture<'a> {
        Box::pin(async move {
            let nth = {
                let mut sent = lock(&self.sent);
                sent.push((Instant::now(), request.clone()));
                sent.len() - 1
            };
            let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
            self.max_in_flight.fetch_max(now, Ordering::Relaxed);
            let _guard = InFlightGuard(&self.in_flight);
            let script = lock(&self.script).clone();
            let mut outcome = script(nth, request);
            loop {
                match outcome {
                    FakeOutcome::After(wait, next) => {
                        sleep(wait).await;
                        outcome = *next;
                    }
                    FakeOutcome::Response(response) => {
                        let connection = Some(self.connection());
                        return Ok(Response {
                            connection,
                            ..response.to(request)
                        });
                    }
                    FakeOutcome::Error(kind) => return Err(TransportError::new(kind)),
                    FakeOutcome::NoConnection => {
                        sleep(connect_timeout).await;
                        return Err(TransportError::new(TransportErrorKind::ConnectTimeout));
                    }
                    FakeOutcome::Silence => pending::<()>().await,
                    FakeOutcome::Panic => panic!("the transport has a bug"),
                }
            }
        })
    }

    fn id(&self) -> usize {
        self.id
    }

    /// Only the native transport needs one: any other id is that of a custom network client.
    fn needs_request_permit(&self) -> bool {
        self.id == NATIVE_TRANSPORT_ID
    }
}

struct InFlightGuard<'a>(&'a AtomicUsize);

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns a platform with this clock, these files and no jitter.
pub(crate) fn platform(clock: &Arc<FakeClock>, files: &Arc<FakeFiles>) -> Platform {
    Platform {
        clock: clock.clone(),
        files: files.clone(),
        random: Arc::new(FixedRandom(0.0)),
        blocking: BlockingPool::default(),
    }
}

/// Returns the default options after a change.
pub(crate) fn options(change: impl FnOnce(&mut RawApplicationOptions)) -> ApplicationOptions {
    let mut raw = RawApplicationOptions::default();
    change(&mut raw);
    ApplicationOptions::parse(&raw).expect("valid options")
}

pub(crate) fn resource(text: &str) -> Resource {
    Resource::parse(&text.into()).expect("a resource")
}

/// Returns an environment with these variables, which may be empty.
pub(crate) fn environment(pairs: &[(&str, &str)]) -> Environment {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect::<HashMap<_, _>>().into()
}

impl From<&str> for UntypedValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
