//! The persistent cache: when it is read and written, and which records are used.

use std::sync::atomic::AtomicUsize;

use zeroize::Zeroizing;

use super::*;
use crate::cache::persistent::{BoxFuture, LockGuard, PersistentCache, RecordStore};
use crate::metadata::TokenSource;

/// A record store in memory, which counts its reads and writes.
#[derive(Default)]
pub(super) struct FakeStore {
    pub(super) records: Mutex<HashMap<String, String>>,
    pub(super) loads: AtomicUsize,
    pub(super) saves: AtomicUsize,
    pub(super) lock: Arc<tokio::sync::Mutex<()>>,
    pub(super) is_unsafe: bool,
    /// How long a read and a write take.
    pub(super) delays: [Duration; 2],
}

impl FakeStore {
    pub(super) fn counts(&self) -> (usize, usize) {
        (
            self.loads.load(Ordering::Relaxed),
            self.saves.load(Ordering::Relaxed),
        )
    }

    pub(super) fn records(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.records.lock().expect("unpoisoned")
    }
}

impl RecordStore for FakeStore {
    fn id(&self) -> &'static str {
        "fake"
    }

    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async {
            if self.is_unsafe {
                return Err(Error::new(Code::InvalidConfiguration, "not safe"));
            }
            Ok(true)
        })
    }

    fn lock<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<LockGuard>> {
        Box::pin(async { Some(Box::new(self.lock.clone().lock_owned().await) as LockGuard) })
    }

    fn load<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<Zeroizing<String>>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            sleep(self.delays[0]).await;
            self.records().get(entry).cloned().map(Zeroizing::new)
        })
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> BoxFuture<'a, ()> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            sleep(self.delays[1]).await;
            self.records().insert(entry.to_owned(), record.to_string());
        })
    }
}

/// A process that uses this store: a token client of its own.
pub(super) struct FakeProcess(pub(super) Harness, pub(super) Arc<FakeStore>);

impl FakeProcess {
    pub(super) fn new(store: &Arc<FakeStore>, transport: Arc<FakeTransport>) -> Self {
        Self(Harness::with_transport(transport), store.clone())
    }

    pub(super) fn call(&self) -> Call {
        let mut call = self.0.call();
        call.application = call.application.with_persistent_cache(PersistentCache {
            store: self.1.clone(),
            hostname: "host".into(),
        });
        call
    }
}

#[tokio::test(start_paused = true)]
async fn store_is_read_on_miss_and_written_on_new_token() {
    let store = Arc::<FakeStore>::default();
    let first = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let acquired = first.call().outcome().await.expect("a token");
    assert!(!acquired.from_cache);
    // The record is read on the miss, again under the lock, and again before it is written.
    assert_eq!(store.counts(), (3, 1));
    first.call().acquired();
    assert_eq!(store.counts(), (3, 1));

    let second = FakeProcess::new(&store, FakeTransport::scripted(|_, _| panic!("no request")));
    let acquired = second.call().outcome().await.expect("a token");
    assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t0", true));
    let metadata = &acquired.metadata;
    assert_eq!(metadata.token_source, Some(TokenSource::Cache));
    assert_eq!(metadata.cache_refresh_reason, CacheRefreshReason::NotApplicable);
    assert_eq!((metadata.attempts, metadata.http_time), (0, Duration::ZERO));
    assert_eq!(store.counts(), (4, 1));
    second.call().acquired();
    assert_eq!(store.counts(), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn forced_token_replaces_the_persisted_one() {
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let store = Arc::<FakeStore>::default();
        let first = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
        first.call().token().await;
        assert_eq!(first.call().cache_policy(cache_policy).token().await, "t1");
        assert_eq!(store.counts(), (4, 2));
        let second = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
        assert_eq!(second.call().token().await, "t1");
        assert_eq!(second.0.transport.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_uses_a_token_persisted_by_another_process() {
    let store = Arc::<FakeStore>::default();
    let [first, second] = [0, 1].map(|_| FakeProcess::new(&store, FakeTransport::always_granting(DAY)));
    first.call().token().await;
    second.call().token().await;
    advance(seconds(DAY / 2 + 300)).await;
    first.call().acquired();
    settle().await;
    assert_eq!(text(&first.call().acquired()), "t1");
    second.call().acquired();
    settle().await;
    assert_eq!(text(&second.call().acquired()), "t1");
    assert_eq!((first.0.transport.count(), second.0.transport.count()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn expired_or_damaged_record_is_replaced_and_a_valid_one_is_the_fallback() {
    let store = Arc::<FakeStore>::default();
    FakeProcess::new(&store, FakeTransport::always_granting(HOUR))
        .call()
        .token()
        .await;
    let entry = store.records().keys().next().cloned().expect("a record");

    // With two minutes left, a new token is requested, and this one is served if that fails.
    let late = FakeProcess::new(
        &store,
        FakeTransport::scripted(|_, _| FakeResponse::new(400, "").into()),
    );
    late.0.clock.jump(seconds(HOUR - 120));
    let acquired = late.call().outcome().await.expect("a token");
    assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t0", true));
    assert_eq!(late.0.transport.count(), 1);

    let later = FakeProcess::new(&store, FakeTransport::always_granting(HOUR));
    later.0.clock.jump(seconds(HOUR));
    later.call().token().await;
    assert_eq!(later.0.transport.count(), 1);

    store.records().insert(entry, "{".into());
    let other = FakeProcess::new(&store, FakeTransport::always_granting(HOUR));
    other.call().token().await;
    assert_eq!(other.0.transport.count(), 1);
    let after = FakeProcess::new(&store, FakeTransport::always_granting(HOUR));
    after.call().token().await;
    assert_eq!(after.0.transport.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn processes_starting_together_send_one_request() {
    let store = Arc::<FakeStore>::default();
    let slow = || {
        FakeTransport::scripted(|nth, _| {
            FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(1))
        })
    };
    let processes: Vec<_> = (0..4).map(|_| FakeProcess::new(&store, slow())).collect();
    let tokens = all(processes.iter().map(|process| process.call().waiter()).collect()).await;
    assert_eq!(tokens, ["t0"; 4]);
    let requests: usize = processes.iter().map(|process| process.0.transport.count()).sum();
    assert_eq!(requests, 1);
}

#[tokio::test(start_paused = true)]
async fn clear_ignores_older_records_and_in_flight_results() {
    let store = Arc::<FakeStore>::default();
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    process.call().token().await;
    advance(seconds(1)).await;
    process.0.client.clear();
    assert_eq!(process.call().token().await, "t1");

    process
        .0
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("late", DAY)).after(seconds(1)));
    let waiter = process.call().cache_policy(CachePolicy::ForceRefresh).waiter();
    process.0.client.clear();
    assert_eq!(all(vec![waiter]).await, ["late"]);
    assert_eq!(store.counts().1, 2);
}

#[tokio::test(start_paused = true)]
async fn clear_of_an_origin_ignores_its_older_records_and_in_flight_results() {
    let store = Arc::<FakeStore>::default();
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let origin = "http://169.254.169.254";
    process.call().token().await;
    advance(seconds(1)).await;
    process.0.client.clear_origin("http://169.254.169.25");
    process.0.client.clear_origin("http://169.254.169.254:80");
    assert_eq!(process.call().token().await, "t0", "other origins are kept");
    let generation = process.0.client.generation();
    process.0.client.clear_origin(origin);
    assert_ne!(process.0.client.generation(), generation);
    assert_eq!(process.call().token().await, "t1");

    process
        .0
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("late", DAY)).after(seconds(1)));
    let waiter = process.call().cache_policy(CachePolicy::ForceRefresh).waiter();
    process.0.client.clear_origin(origin);
    assert_eq!(all(vec![waiter]).await, ["late"]);
    assert_eq!(store.counts().1, 2, "the late token is not stored");
}

#[tokio::test(start_paused = true)]
async fn token_without_expiry_is_not_persisted_and_unsafe_location_is_an_error() {
    let store = Arc::<FakeStore>::default();
    let process = FakeProcess::new(
        &store,
        FakeTransport::scripted(|_, _| FakeResponse::new(200, r#"{"access_token":"once"}"#).into()),
    );
    process.call().token().await;
    assert_eq!(store.counts(), (2, 0));

    let store = Arc::new(FakeStore {
        is_unsafe: true,
        ..FakeStore::default()
    });
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let error = process.call().error().await;
    assert_eq!(*error.code(), Code::InvalidConfiguration);
    assert_eq!(process.0.transport.count(), 0);
}
