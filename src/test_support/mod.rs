//! Stand-ins for the machine and the network, for tests: nothing here waits, connects or reads.
//!
//! One file, since nearly every test takes several of them together.

#[cfg(test)]
pub(crate) mod proptest;

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::http::NATIVE;
use crate::http::{
    Exchange, Fault, FaultKind, Request, Response, ResponseHeaders, ReusableConnection, Transport,
};
use crate::options::resource::Resource;
use crate::options::{Given, RawConfiguration, Settings};
use crate::platform::{BlockingPool, Clock, Environment, Files, Fixed, Machine, ReadFault};
use crate::token::Timestamp;

/// The wall time at which every test starts.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A certificate (`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256`), whose key is nowhere.
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

/// Wall time that runs with Tokio's clock, and can leap ahead of it as after a suspension.
pub(crate) struct FakeClock {
    began: Instant,
    ahead: Mutex<Duration>,
    behind: Mutex<Duration>,
}

impl FakeClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            ahead: Mutex::default(),
            behind: Mutex::default(),
        })
    }

    /// The wall clock alone moves: the machine slept.
    pub(crate) fn leap(&self, by: Duration) {
        *lock(&self.ahead) += by;
    }

    /// The wall clock is set to an earlier time.
    pub(crate) fn put_back(&self, by: Duration) {
        *lock(&self.behind) += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        START
            .plus(self.began.elapsed())
            .plus(*lock(&self.ahead))
            .minus(*lock(&self.behind))
    }
}

/// What stands at a path.
#[derive(Clone)]
pub(crate) enum Entry {
    File(Vec<u8>),
    /// A link to a file of this content.
    Link(Vec<u8>),
    /// A pipe, a folder, a device.
    Pipe,
    /// A file of somebody else's.
    Locked,
    /// A file on a file system that hangs until [`HungFile`] is dropped, and that is gone then.
    Hung(Arc<Hung>),
}

/// What a read of a file that hangs waits for.
pub(crate) struct Hung {
    begun: Semaphore,
    released: Mutex<Receiver<()>>,
}

/// A file that hangs, in the test's hands. Reads that hang end when it is dropped.
pub(crate) struct HungFile {
    hung: Arc<Hung>,
    _release: Sender<()>,
}

impl HungFile {
    /// Waits until a read hangs that was not waited for before.
    pub(crate) async fn read(&self) {
        let begun = self.hung.begun.acquire().await;
        begun.expect("never closed").forget();
    }
}

/// Files that exist nowhere else.
#[derive(Default)]
pub(crate) struct FakeFiles {
    entries: Mutex<HashMap<PathBuf, Entry>>,
    reads: AtomicUsize,
}

impl FakeFiles {
    pub(crate) fn put(&self, path: &str, entry: Entry) {
        lock(&self.entries).insert(path.into(), entry);
    }

    /// Puts a file there whose reads hang.
    pub(crate) fn hang(&self, path: &str) -> HungFile {
        let (release, released) = channel();
        let hung = Arc::new(Hung {
            begun: Semaphore::new(0),
            released: Mutex::new(released),
        });
        self.put(path, Entry::Hung(hung.clone()));
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
        matches!(lock(&self.entries).get(path), Some(Entry::File(_)))
    }

    fn read(&self, path: &Path, limit: usize, follow_links: bool) -> Result<Zeroizing<Vec<u8>>, ReadFault> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let entry = lock(&self.entries).get(path).cloned();
        match entry {
            Some(Entry::Hung(hung)) => {
                hung.begun.add_permits(1);
                let _ = lock(&hung.released).recv();
                Err(ReadFault::Failed(io::ErrorKind::NotFound.into()))
            }
            Some(Entry::File(bytes)) if bytes.len() > limit => Err(ReadFault::TooLarge),
            Some(Entry::File(bytes)) => Ok(Zeroizing::new(bytes)),
            Some(Entry::Link(bytes)) if follow_links => Ok(Zeroizing::new(bytes)),
            Some(Entry::Link(_) | Entry::Pipe) => Err(ReadFault::NotRegular),
            Some(Entry::Locked) => Err(ReadFault::Denied(io::ErrorKind::PermissionDenied.into())),
            None => Err(ReadFault::Failed(io::ErrorKind::NotFound.into())),
        }
    }
}

/// An answer to be given.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: ResponseHeaders,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    /// A token that lives for so many seconds.
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
            body: Zeroizing::new(self.body.into_bytes()),
            secrets: request.secrets.clone(),
            connection: None,
        }
    }
}

/// What becomes of one request.
pub(crate) enum Play {
    Reply(Reply),
    Fault(FaultKind),
    /// Nobody accepts the connection: a fault after the connect timeout.
    NoConnection,
    /// No answer, ever.
    Silence,
    Panic,
    After(Duration, Box<Play>),
}

impl Play {
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }
}

impl From<Reply> for Play {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<FaultKind> for Play {
    fn from(kind: FaultKind) -> Self {
        Self::Fault(kind)
    }
}

type Script = dyn Fn(usize, &Request) -> Play + Send + Sync;

/// A network that records what is sent and plays a script.
pub(crate) struct FakeNet {
    id: usize,
    script: Mutex<Arc<Script>>,
    sent: Mutex<Vec<(Instant, Request)>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    kept: Arc<AtomicUsize>,
}

impl FakeNet {
    /// What becomes of a request is told by its number, from 0, and itself.
    pub(crate) fn playing(script: impl Fn(usize, &Request) -> Play + Send + Sync + 'static) -> Arc<Self> {
        Self::numbered(NATIVE, script)
    }

    /// A transport of another number than the native one's.
    pub(crate) fn numbered(
        id: usize,
        script: impl Fn(usize, &Request) -> Play + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            script: Mutex::new(Arc::new(script)),
            sent: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            kept: Arc::default(),
        })
    }

    /// Hands out `t0`, `t1`, … that live for so many seconds.
    pub(crate) fn granting(lifetime: u64) -> Arc<Self> {
        Self::playing(move |nth, _| Reply::token(&format!("t{nth}"), lifetime).into())
    }

    /// From now on another script; the numbers go on.
    pub(crate) fn play(&self, script: impl Fn(usize, &Request) -> Play + Send + Sync + 'static) {
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

    /// When each request was sent, in milliseconds after an instant.
    pub(crate) fn times(&self, since: Instant) -> Vec<u128> {
        let sent = lock(&self.sent);
        sent.iter().map(|(at, _)| (*at - since).as_millis()).collect()
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.most_under_way.load(Ordering::Relaxed)
    }

    /// How many connections were kept, once their responses were read.
    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    fn connection(&self) -> ReusableConnection {
        let kept = self.kept.clone();
        ReusableConnection::new(move || {
            kept.fetch_add(1, Ordering::Relaxed);
        })
    }
}

impl Transport for FakeNet {
    fn send<'a>(&'a self, request: &'a Request, connect_timeout: Duration) -> Exchange<'a> {
        Box::pin(async move {
            let nth = {
                let mut sent = lock(&self.sent);
                sent.push((Instant::now(), request.clone()));
                sent.len() - 1
            };
            let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_under_way.fetch_max(now, Ordering::Relaxed);
            let _under_way = UnderWay(&self.under_way);
            let script = lock(&self.script).clone();
            let mut play = script(nth, request);
            loop {
                match play {
                    Play::After(wait, next) => {
                        sleep(wait).await;
                        play = *next;
                    }
                    Play::Reply(reply) => {
                        let connection = Some(self.connection());
                        return Ok(Response {
                            connection,
                            ..reply.to(request)
                        });
                    }
                    Play::Fault(kind) => return Err(Fault::of(kind)),
                    Play::NoConnection => {
                        sleep(connect_timeout).await;
                        return Err(Fault::of(FaultKind::ConnectTimeout));
                    }
                    Play::Silence => pending::<()>().await,
                    Play::Panic => panic!("the transport has a bug"),
                }
            }
        })
    }

    fn id(&self) -> usize {
        self.id
    }

    /// Only the native transport does: any other stands for a caller's own client.
    fn takes_a_place(&self) -> bool {
        self.id == NATIVE
    }
}

struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A machine with this clock and these files, and no jitter.
pub(crate) fn machine(clock: &Arc<FakeClock>, files: &Arc<FakeFiles>) -> Machine {
    Machine {
        clock: clock.clone(),
        files: files.clone(),
        chance: Arc::new(Fixed(0.0)),
        blocking: BlockingPool::default(),
    }
}

/// The defaults, but for what this changes.
pub(crate) fn settings(change: impl FnOnce(&mut RawConfiguration)) -> Settings {
    let mut raw = RawConfiguration::default();
    change(&mut raw);
    Settings::parse(&raw).expect("valid options")
}

pub(crate) fn resource(text: &str) -> Resource {
    Resource::parse(&text.into()).expect("a resource")
}

/// The variables that are given; the empty ones too.
pub(crate) fn environment(pairs: &[(&str, &str)]) -> Environment {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect::<HashMap<_, _>>().into()
}

impl From<&str> for Given {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
