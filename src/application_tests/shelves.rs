//! A cache outside of the process: when it is asked, when it is told, and what is believed of it.

use std::sync::atomic::AtomicUsize;

use zeroize::Zeroizing;

use super::*;
use crate::cache::shelf::{Doing, Guard, Shelf, Store};
use crate::metadata::TokenSource;

/// A shelf in memory, which counts how often it is used.
#[derive(Default)]
struct FakeStore {
    records: Mutex<HashMap<String, String>>,
    loads: AtomicUsize,
    saves: AtomicUsize,
    held: Arc<tokio::sync::Mutex<()>>,
    refuses: bool,
    /// How long it takes to read, and to write.
    delays: [Duration; 2],
}

impl FakeStore {
    fn counts(&self) -> (usize, usize) {
        (
            self.loads.load(Ordering::Relaxed),
            self.saves.load(Ordering::Relaxed),
        )
    }

    fn records(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.records.lock().expect("unpoisoned")
    }
}

impl Store for FakeStore {
    fn label(&self) -> &'static str {
        "fake"
    }

    fn open(&self) -> Doing<'_, Result<bool, Error>> {
        Box::pin(async {
            if self.refuses {
                return Err(Error::new(Code::InvalidConfiguration, "not safe"));
            }
            Ok(true)
        })
    }

    fn hold<'a>(&'a self, _: &'a str) -> Doing<'a, Option<Guard>> {
        Box::pin(async { Some(Box::new(self.held.clone().lock_owned().await) as Guard) })
    }

    fn load<'a>(&'a self, entry: &'a str) -> Doing<'a, Option<Zeroizing<String>>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            sleep(self.delays[0]).await;
            self.records().get(entry).cloned().map(Zeroizing::new)
        })
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> Doing<'a, ()> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            sleep(self.delays[1]).await;
            self.records().insert(entry.to_owned(), record.to_string());
        })
    }
}

/// A process of its own that uses this shelf.
struct Process(Desk, Arc<FakeStore>);

impl Process {
    fn new(store: &Arc<FakeStore>, net: Arc<FakeNet>) -> Self {
        Self(Desk::with(net), store.clone())
    }

    fn call(&self) -> Call {
        let mut call = self.0.call();
        call.settings = call.settings.with_shelf(Shelf {
            store: self.1.clone(),
            hostname: "host".into(),
        });
        call
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_only_without_a_fresh_token_and_told_only_of_new_ones() {
    let store = Arc::<FakeStore>::default();
    let first = Process::new(&store, FakeNet::granting(DAY));
    let served = first.call().outcome().await.expect("a token");
    assert!(!served.from_cache);
    // It is read once more when nobody else works at it, and before it is written.
    assert_eq!(store.counts(), (3, 1));
    first.call().served();
    assert_eq!(store.counts(), (3, 1));

    let second = Process::new(&store, FakeNet::playing(|_, _| panic!("no request")));
    let served = second.call().outcome().await.expect("a token");
    assert_eq!((text(&served).as_str(), served.from_cache), ("t0", true));
    let metadata = &served.metadata;
    assert_eq!(metadata.token_source, Some(TokenSource::Cache));
    assert_eq!(metadata.refresh_reason, RefreshReason::NotApplicable);
    assert_eq!((metadata.attempts, metadata.in_http), (0, Duration::ZERO));
    assert_eq!(store.counts(), (4, 1));
    second.call().served();
    assert_eq!(store.counts(), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn who_wants_another_token_gets_one_and_the_others_find_it() {
    for wish in [Wish::New, Wish::Other] {
        let store = Arc::<FakeStore>::default();
        let first = Process::new(&store, FakeNet::granting(DAY));
        first.call().token().await;
        assert_eq!(first.call().wish(wish).token().await, "t1");
        assert_eq!(store.counts(), (4, 2));
        let second = Process::new(&store, FakeNet::granting(DAY));
        assert_eq!(second.call().token().await, "t1");
        assert_eq!(second.0.net.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_takes_what_another_process_has_brought_meanwhile() {
    let store = Arc::<FakeStore>::default();
    let [first, second] = [0, 1].map(|_| Process::new(&store, FakeNet::granting(DAY)));
    first.call().token().await;
    second.call().token().await;
    advance(seconds(DAY / 2 + 300)).await;
    first.call().served();
    settle().await;
    assert_eq!(text(&first.call().served()), "t1");
    second.call().served();
    settle().await;
    assert_eq!(text(&second.call().served()), "t1");
    assert_eq!((first.0.net.count(), second.0.net.count()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_expired_or_is_damaged_is_replaced_and_what_is_valid_is_a_last_resort() {
    let store = Arc::<FakeStore>::default();
    Process::new(&store, FakeNet::granting(HOUR)).call().token().await;
    let entry = store.records().keys().next().cloned().expect("a record");

    // Two minutes are left: another is asked for, and this one served if there is none.
    let late = Process::new(&store, FakeNet::playing(|_, _| Reply::new(400, "").into()));
    late.0.clock.leap(seconds(HOUR - 120));
    let served = late.call().outcome().await.expect("a token");
    assert_eq!((text(&served).as_str(), served.from_cache), ("t0", true));
    assert_eq!(late.0.net.count(), 1);

    let later = Process::new(&store, FakeNet::granting(HOUR));
    later.0.clock.leap(seconds(HOUR));
    later.call().token().await;
    assert_eq!(later.0.net.count(), 1);

    store.records().insert(entry, "{".into());
    let other = Process::new(&store, FakeNet::granting(HOUR));
    other.call().token().await;
    assert_eq!(other.0.net.count(), 1);
    let after = Process::new(&store, FakeNet::granting(HOUR));
    after.call().token().await;
    assert_eq!(after.0.net.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn processes_that_start_together_make_one_request_between_them() {
    let store = Arc::<FakeStore>::default();
    let slow =
        || FakeNet::playing(|nth, _| Play::from(Reply::token(&format!("t{nth}"), DAY)).after(seconds(1)));
    let processes: Vec<_> = (0..4).map(|_| Process::new(&store, slow())).collect();
    let told = all(processes.iter().map(|process| process.call().waiter()).collect()).await;
    assert_eq!(told, ["t0"; 4]);
    let requests: usize = processes.iter().map(|process| process.0.net.count()).sum();
    assert_eq!(requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cleared_cache_believes_nothing_from_before_and_keeps_nothing_of_what_was_under_way() {
    let store = Arc::<FakeStore>::default();
    let process = Process::new(&store, FakeNet::granting(DAY));
    process.call().token().await;
    advance(seconds(1)).await;
    process.0.engine.clear();
    assert_eq!(process.call().token().await, "t1");

    process
        .0
        .net
        .play(|_, _| Play::from(Reply::token("late", DAY)).after(seconds(1)));
    let waiter = process.call().wish(Wish::New).waiter();
    process.0.engine.clear();
    assert_eq!(all(vec![waiter]).await, ["late"]);
    assert_eq!(store.counts().1, 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_expiry_is_not_kept_and_a_place_that_is_not_safe_is_an_error() {
    let store = Arc::<FakeStore>::default();
    let process = Process::new(
        &store,
        FakeNet::playing(|_, _| Reply::new(200, r#"{"access_token":"once"}"#).into()),
    );
    process.call().token().await;
    assert_eq!(store.counts(), (2, 0));

    let store = Arc::new(FakeStore {
        refuses: true,
        ..FakeStore::default()
    });
    let process = Process::new(&store, FakeNet::granting(DAY));
    let error = process.call().error().await;
    assert_eq!(*error.code(), Code::InvalidConfiguration);
    assert_eq!(process.0.net.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_is_served_whoever_works_at_the_entry() {
    let store = Arc::<FakeStore>::default();
    Process::new(&store, FakeNet::granting(DAY)).call().token().await;
    let _held = store.held.lock().await;
    let other = Process::new(&store, FakeNet::granting(DAY));
    let started = Instant::now();
    assert_eq!(other.call().token().await, "t0");
    assert_eq!((other.0.net.count(), started.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_never_lets_go_of_an_entry_is_waited_for_ten_seconds_or_half_the_time() {
    for (call_within, waited) in [(None, 10), (Some(4), 2)] {
        let store = Arc::<FakeStore>::default();
        let _held = store.held.lock().await;
        let process = Process::new(&store, FakeNet::granting(DAY));
        let mut call = process.call();
        call.request.timeout = call_within.map(seconds);
        let started = Instant::now();
        assert_eq!(call.token().await, "t0");
        assert_eq!(started.elapsed(), seconds(waited));
        // Without the lock it is kept all the same, so that the next one need not wait.
        assert_eq!(store.counts(), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_as_good_as_none() {
    let store = Arc::new(FakeStore {
        delays: [seconds(DAY), Duration::ZERO],
        ..FakeStore::default()
    });
    let process = Process::new(&store, FakeNet::granting(DAY));
    let started = Instant::now();
    assert_eq!(process.call().within(seconds(5)).token().await, "t0");
    assert_eq!(started.elapsed(), Duration::from_millis(2_500));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_come_is_not_withheld_while_it_is_being_kept() {
    let store = Arc::new(FakeStore {
        delays: [Duration::ZERO, seconds(7)],
        ..FakeStore::default()
    });
    let process = Process::new(&store, FakeNet::granting(DAY));
    let started = Instant::now();
    let patient = tokio::spawn(process.call().waiter().wait());
    let impatient = tokio::spawn(process.call().within(Duration::from_millis(300)).waiter().wait());
    let served = impatient.await.expect("no panic").expect("a token");
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    assert_eq!((text(&served).as_str(), served.from_cache), ("t0", false));
    // Whoever comes now finds it in memory.
    assert!(process.call().served().fresh_until.is_some());
    let served = patient.await.expect("no panic").expect("a token");
    assert_eq!((text(&served).as_str(), started.elapsed()), ("t0", seconds(1)));
    assert!(served.fresh_until.is_some());
    // It is kept in the end, and nobody else comes between.
    assert!(store.records().is_empty() && store.held.try_lock().is_err());
    sleep(seconds(7)).await;
    assert!(!store.records().is_empty() && store.held.try_lock().is_ok());
}

/// A process that finds a token with so many seconds left.
async fn finding(left: u64, net: Arc<FakeNet>) -> Process {
    let store = Arc::<FakeStore>::default();
    Process::new(&store, FakeNet::granting(HOUR)).call().token().await;
    let late = Process::new(&store, net);
    late.0.clock.leap(seconds(HOUR - left));
    late
}

#[tokio::test(start_paused = true)]
async fn a_nearly_expired_token_is_served_after_two_seconds() {
    let late = finding(200, FakeNet::playing(|_, _| Play::Silence)).await;
    for (call, waited) in [(late.call(), 2), (late.call().within(seconds(1)), 0)] {
        let started = Instant::now();
        let served = call.outcome().await.expect("a token");
        assert_eq!(
            (text(&served).as_str(), served.from_cache, served.fresh_until),
            ("t0", true, None)
        );
        assert_eq!(served.metadata.token_source, Some(TokenSource::Cache));
        assert_eq!(started.elapsed(), seconds(waited));
    }
    assert_eq!(late.0.net.count(), 1);

    let late = finding(200, FakeNet::playing(|_, _| Play::Silence)).await;
    let started = Instant::now();
    assert_eq!(late.call().within(seconds(1)).token().await, "t0");
    assert_eq!(started.elapsed(), seconds(1));

    // What comes after all is served from then on.
    let net = FakeNet::playing(|_, _| Play::from(Reply::token("new", HOUR)).after(seconds(5)));
    let late = finding(200, net).await;
    assert_eq!(late.call().token().await, "t0");
    sleep(seconds(5)).await;
    assert_eq!(text(&late.call().served()), "new");
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_another_is_asked_for_is_not_served() {
    for silent in [true, false] {
        let net = FakeNet::playing(move |_, _| {
            if silent {
                Play::Silence
            } else {
                Play::from(Reply::new(400, "")).after(Duration::from_millis(1_500))
            }
        });
        let late = finding(1, net).await;
        let error = late.call().within(seconds(9)).error().await;
        assert_eq!(error.facts().attempts, Some(1), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_another_token_shares_no_flight_that_may_find_one() {
    for wish in [Wish::New, Wish::Other] {
        let store = Arc::<FakeStore>::default();
        Process::new(&store, FakeNet::granting(DAY)).call().token().await;
        let process = Process::new(&store, FakeNet::playing(|_, _| Reply::token("new", DAY).into()));
        let waiters = vec![process.call().waiter(), process.call().wish(wish).waiter()];
        assert_eq!(all(waiters).await, ["t0", "new"]);
        assert_eq!(text(&process.call().served()), "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_come_is_better_than_a_nearly_expired_one() {
    let store = Arc::new(FakeStore {
        delays: [Duration::ZERO, Duration::from_millis(900)],
        ..FakeStore::default()
    });
    let process = Process::new(&store, FakeNet::granting(HOUR));
    process.call().token().await;
    advance(seconds(HOUR - 200)).await;
    process
        .0
        .net
        .play(|_, _| Play::from(Reply::token("new", HOUR)).after(Duration::from_millis(1_600)));
    let started = Instant::now();
    assert_eq!(process.call().token().await, "new");
    assert_eq!(started.elapsed(), seconds(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_found_does_not_take_the_place_of_what_another_call_has_brought() {
    let store = Arc::<FakeStore>::default();
    Process::new(&store, FakeNet::granting(DAY)).call().token().await;
    // It is read before, and landed after.
    let slow = Arc::new(FakeStore {
        records: Mutex::new(store.records().clone()),
        delays: [seconds(2), Duration::ZERO],
        ..FakeStore::default()
    });
    let process = Process::new(&slow, FakeNet::playing(|_, _| Reply::token("new", HOUR).into()));
    let plain = tokio::spawn(process.call().waiter().wait());
    settle().await;
    // It has no shelf, and shares no flight with the other.
    assert_eq!(process.0.call().wish(Wish::New).token().await, "new");
    assert_eq!(text(&plain.await.expect("no panic").expect("a token")), "new");
    assert_eq!(text(&process.call().served()), "new");
}

#[tokio::test(start_paused = true)]
async fn a_spare_does_not_take_the_place_of_a_better_token() {
    let refusing = FakeNet::playing(|_, _| Play::from(Reply::new(400, "")).after(seconds(1)));
    let late = finding(200, refusing).await;
    let unlucky = tokio::spawn(late.call().waiter().wait());
    settle().await;
    late.0.net.play(|_, _| Reply::token("long", DAY).into());
    assert_eq!(late.0.call().token().await, "long");
    assert_eq!(text(&unlucky.await.expect("no panic").expect("a token")), "long");
    assert_eq!(text(&late.call().served()), "long");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_wanted_does_not_come_back_if_its_successor_cannot_be_kept() {
    for wish in [Wish::New, Wish::Other] {
        let store = Arc::<FakeStore>::default();
        let process = Process::new(&store, FakeNet::granting(DAY));
        process.call().token().await;
        advance(seconds(1)).await;
        process.0.net.play(|nth, _| match nth {
            1 => Reply::new(200, r#"{"access_token":"once"}"#).into(),
            _ => Reply::token("new", DAY).into(),
        });
        assert_eq!(process.call().wish(wish).token().await, "once");
        assert!(store.records().values().all(String::is_empty));
        assert_eq!(process.call().token().await, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_from_before_another_token_was_asked_for_is_not_believed() {
    let store = Arc::<FakeStore>::default();
    let process = Process::new(&store, FakeNet::granting(DAY));
    process.call().token().await;
    let old = store.records().clone();
    advance(seconds(1)).await;
    process
        .0
        .net
        .play(|_, _| Reply::new(200, r#"{"access_token":"once"}"#).into());
    process.call().wish(Wish::New).token().await;
    // As if it could not be removed.
    *store.records() = old;
    process.0.net.play(|_, _| Reply::token("new", DAY).into());
    assert_eq!(process.call().token().await, "new");
}

#[tokio::test(start_paused = true)]
async fn an_older_flight_keeps_nothing_in_the_place_of_a_newer_one() {
    let store = Arc::<FakeStore>::default();
    let slow = FakeNet::playing(|_, _| Play::from(Reply::token("old", DAY)).after(seconds(9)));
    let process = Process::new(&store, slow);
    let first = tokio::spawn(process.call().waiter().wait());
    settle().await;
    // Another process loses patience with the lock, and keeps what it got without it.
    let other = Process::new(&store, FakeNet::playing(|_, _| Reply::token("new", DAY).into()));
    other.0.clock.leap(seconds(1));
    assert_eq!(
        other.call().wish(Wish::New).within(seconds(4)).token().await,
        "new"
    );
    process.0.clock.leap(seconds(2));
    assert_eq!(text(&first.await.expect("no panic").expect("a token")), "old");
    let last = Process::new(&store, FakeNet::granting(DAY));
    last.0.clock.leap(seconds(30));
    assert_eq!(last.call().token().await, "new");
}

#[tokio::test(start_paused = true)]
async fn what_was_found_while_another_was_asked_for_makes_room_for_it() {
    let store = Arc::<FakeStore>::default();
    Process::new(&store, FakeNet::granting(DAY)).call().token().await;
    let net = FakeNet::playing(|_, _| Play::from(Reply::token("new", HOUR)).after(seconds(1)));
    let process = Process::new(&store, net);
    let mut other = process.call().wish(Wish::New);
    other.request.identity_wait = Some(seconds(10)); // Of another flight than the next.
    let forced = tokio::spawn(other.waiter().wait());
    settle().await;
    process.1.held.try_lock().expect_err("held by the flight");
    let plain = process.call();
    assert_eq!(plain.token().await, "t0");
    assert_eq!(text(&forced.await.expect("no panic").expect("a token")), "new");
    assert_eq!(text(&process.call().served()), "new");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_soon_does_not_wait_until_it_is_kept() {
    for (lifetime, waited) in [(2, Duration::ZERO), (HOUR, Duration::from_millis(900))] {
        let store = Arc::new(FakeStore {
            delays: [Duration::ZERO, Duration::from_millis(900)],
            ..FakeStore::default()
        });
        let process = Process::new(&store, FakeNet::granting(lifetime));
        let started = Instant::now();
        assert_eq!(process.call().token().await, "t0");
        assert_eq!(started.elapsed(), waited, "{lifetime}");
    }
}
