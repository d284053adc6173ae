//! A persistent cache that is slow, locked by another process, or outdated: it neither withholds a token nor restores an
//! unwanted one.

use super::persistent_cache::{FakeProcess, FakeStore};
use super::*;
use crate::metadata::TokenSource;

#[tokio::test(start_paused = true)]
async fn fresh_token_is_served_while_the_entry_is_locked() {
    let store = Arc::<FakeStore>::default();
    FakeProcess::new(&store, FakeTransport::always_granting(DAY))
        .call()
        .token()
        .await;
    let _guard = store.lock.lock().await;
    let other = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let started = Instant::now();
    assert_eq!(other.call().token().await, "t0");
    assert_eq!(
        (other.0.transport.count(), started.elapsed()),
        (0, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn lock_wait_is_min_of_10s_and_half_the_timeout() {
    for (call_within, waited) in [(None, 10), (Some(4), 2)] {
        let store = Arc::<FakeStore>::default();
        let _guard = store.lock.lock().await;
        let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
        let mut call = process.call();
        call.request.timeout = call_within.map(seconds);
        let started = Instant::now();
        assert_eq!(call.token().await, "t0");
        assert_eq!(started.elapsed(), seconds(waited));
        // The token is written without the lock, so that the next process need not wait.
        assert_eq!(store.counts(), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn unresponsive_store_is_skipped() {
    let store = Arc::new(FakeStore {
        delays: [seconds(DAY), Duration::ZERO],
        ..FakeStore::default()
    });
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let started = Instant::now();
    assert_eq!(process.call().within(seconds(5)).token().await, "t0");
    assert_eq!(started.elapsed(), Duration::from_millis(2_500));
}

#[tokio::test(start_paused = true)]
async fn new_token_is_returned_after_the_persist_wait() {
    let store = Arc::new(FakeStore {
        delays: [Duration::ZERO, seconds(7)],
        ..FakeStore::default()
    });
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let started = Instant::now();
    let patient = tokio::spawn(process.call().waiter().wait());
    let impatient = tokio::spawn(process.call().within(Duration::from_millis(300)).waiter().wait());
    let acquired = impatient.await.expect("no panic").expect("a token");
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t0", false));
    // A later call finds the token in memory.
    assert!(process.call().acquired().fresh_until.is_some());
    let acquired = patient.await.expect("no panic").expect("a token");
    assert_eq!((text(&acquired).as_str(), started.elapsed()), ("t0", seconds(1)));
    assert!(acquired.fresh_until.is_some());
    // The token is written in the end, and the lock is held until then.
    assert!(store.records().is_empty() && store.lock.try_lock().is_err());
    sleep(seconds(7)).await;
    assert!(!store.records().is_empty() && store.lock.try_lock().is_ok());
}

/// Creates a process whose store has a token that expires in `remaining` seconds.
async fn with_stored_token(remaining: u64, transport: Arc<FakeTransport>) -> FakeProcess {
    let store = Arc::<FakeStore>::default();
    FakeProcess::new(&store, FakeTransport::always_granting(HOUR))
        .call()
        .token()
        .await;
    let late = FakeProcess::new(&store, transport);
    late.0.clock.jump(seconds(HOUR - remaining));
    late
}

#[tokio::test(start_paused = true)]
async fn near_expiry_token_is_served_after_2s() {
    let late = with_stored_token(200, FakeTransport::scripted(|_, _| FakeOutcome::Silence)).await;
    for (call, waited) in [(late.call(), 2), (late.call().within(seconds(1)), 0)] {
        let started = Instant::now();
        let acquired = call.outcome().await.expect("a token");
        assert_eq!(
            (
                text(&acquired).as_str(),
                acquired.from_cache,
                acquired.fresh_until
            ),
            ("t0", true, None)
        );
        assert_eq!(acquired.metadata.token_source, Some(TokenSource::Cache));
        assert_eq!(started.elapsed(), seconds(waited));
    }
    assert_eq!(late.0.transport.count(), 1);

    let late = with_stored_token(200, FakeTransport::scripted(|_, _| FakeOutcome::Silence)).await;
    let started = Instant::now();
    assert_eq!(late.call().within(seconds(1)).token().await, "t0");
    assert_eq!(started.elapsed(), seconds(1));

    // A token that is fetched later is served from then on.
    let transport =
        FakeTransport::scripted(|_, _| FakeOutcome::from(FakeResponse::token("new", HOUR)).after(seconds(5)));
    let late = with_stored_token(200, transport).await;
    assert_eq!(late.call().token().await, "t0");
    sleep(seconds(5)).await;
    assert_eq!(text(&late.call().acquired()), "new");
}

#[tokio::test(start_paused = true)]
async fn persisted_token_that_expires_during_the_request_is_not_served() {
    for silent in [true, false] {
        let transport = FakeTransport::scripted(move |_, _| {
            if silent {
                FakeOutcome::Silence
            } else {
                FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(1_500))
            }
        });
        let late = with_stored_token(1, transport).await;
        let error = late.call().within(seconds(9)).error().await;
        assert_eq!(error.details().attempts, Some(1), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn force_refresh_does_not_join_request_that_may_use_the_store() {
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let store = Arc::<FakeStore>::default();
        FakeProcess::new(&store, FakeTransport::always_granting(DAY))
            .call()
            .token()
            .await;
        let process = FakeProcess::new(
            &store,
            FakeTransport::scripted(|_, _| FakeResponse::token("new", DAY).into()),
        );
        let waiters = vec![
            process.call().waiter(),
            process.call().cache_policy(cache_policy).waiter(),
        ];
        // The first call may already find the token of the second: their file reads are not ordered.
        let tokens = all(waiters).await;
        assert!(["t0", "new"].contains(&tokens[0].as_str()), "{tokens:?}");
        assert_eq!(tokens[1], "new");
        assert_eq!(text(&process.call().acquired()), "new");
    }
}

#[tokio::test(start_paused = true)]
async fn fetched_token_precedes_near_expiry_token() {
    let store = Arc::new(FakeStore {
        delays: [Duration::ZERO, Duration::from_millis(900)],
        ..FakeStore::default()
    });
    let process = FakeProcess::new(&store, FakeTransport::always_granting(HOUR));
    process.call().token().await;
    advance(seconds(HOUR - 200)).await;
    process.0.transport.set_script(|_, _| {
        FakeOutcome::from(FakeResponse::token("new", HOUR)).after(Duration::from_millis(1_600))
    });
    let started = Instant::now();
    assert_eq!(process.call().token().await, "new");
    assert_eq!(started.elapsed(), seconds(2));
}

#[tokio::test(start_paused = true)]
async fn persisted_token_does_not_replace_a_newer_fetched_one() {
    let store = Arc::<FakeStore>::default();
    FakeProcess::new(&store, FakeTransport::always_granting(DAY))
        .call()
        .token()
        .await;
    // The record is read before the other token is fetched, and its token is stored afterwards.
    let slow = Arc::new(FakeStore {
        records: Mutex::new(store.records().clone()),
        delays: [seconds(2), Duration::ZERO],
        ..FakeStore::default()
    });
    let process = FakeProcess::new(
        &slow,
        FakeTransport::scripted(|_, _| FakeResponse::token("new", HOUR).into()),
    );
    let plain = tokio::spawn(process.call().waiter().wait());
    settle().await;
    // This call has no persistent cache, so it does not share the request of the other.
    assert_eq!(
        process
            .0
            .call()
            .cache_policy(CachePolicy::ForceRefresh)
            .token()
            .await,
        "new"
    );
    assert_eq!(text(&plain.await.expect("no panic").expect("a token")), "new");
    assert_eq!(text(&process.call().acquired()), "new");
}

#[tokio::test(start_paused = true)]
async fn fallback_does_not_replace_a_better_token() {
    let failing =
        FakeTransport::scripted(|_, _| FakeOutcome::from(FakeResponse::new(400, "")).after(seconds(1)));
    let late = with_stored_token(200, failing).await;
    let waiting = tokio::spawn(late.call().waiter().wait());
    settle().await;
    late.0
        .transport
        .set_script(|_, _| FakeResponse::token("long", DAY).into());
    assert_eq!(late.0.call().token().await, "long");
    assert_eq!(text(&waiting.await.expect("no panic").expect("a token")), "long");
    assert_eq!(text(&late.call().acquired()), "long");
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_not_restored_when_replacement_is_uncacheable() {
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let store = Arc::<FakeStore>::default();
        let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
        process.call().token().await;
        advance(seconds(1)).await;
        process.0.transport.set_script(|nth, _| match nth {
            1 => FakeResponse::new(200, r#"{"access_token":"once"}"#).into(),
            _ => FakeResponse::token("new", DAY).into(),
        });
        assert_eq!(process.call().cache_policy(cache_policy).token().await, "once");
        assert!(store.records().values().all(String::is_empty));
        assert_eq!(process.call().token().await, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn record_older_than_a_forced_request_is_ignored() {
    let store = Arc::<FakeStore>::default();
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    process.call().token().await;
    let old = store.records().clone();
    advance(seconds(1)).await;
    process
        .0
        .transport
        .set_script(|_, _| FakeResponse::new(200, r#"{"access_token":"once"}"#).into());
    process
        .call()
        .cache_policy(CachePolicy::ForceRefresh)
        .token()
        .await;
    // The record is restored, as if it could not be deleted.
    *store.records() = old;
    process
        .0
        .transport
        .set_script(|_, _| FakeResponse::token("new", DAY).into());
    assert_eq!(process.call().token().await, "new");
}

#[tokio::test(start_paused = true)]
async fn superseded_request_does_not_persist_its_token() {
    let store = Arc::<FakeStore>::default();
    let slow =
        FakeTransport::scripted(|_, _| FakeOutcome::from(FakeResponse::token("old", DAY)).after(seconds(9)));
    let process = FakeProcess::new(&store, slow);
    let first = tokio::spawn(process.call().waiter().wait());
    settle().await;
    // Another process stops waiting for the lock, and writes its token without it.
    let other = FakeProcess::new(
        &store,
        FakeTransport::scripted(|_, _| FakeResponse::token("new", DAY).into()),
    );
    other.0.clock.jump(seconds(1));
    assert_eq!(
        other
            .call()
            .cache_policy(CachePolicy::ForceRefresh)
            .within(seconds(4))
            .token()
            .await,
        "new"
    );
    process.0.clock.jump(seconds(2));
    assert_eq!(text(&first.await.expect("no panic").expect("a token")), "old");
    let last = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    last.0.clock.jump(seconds(30));
    assert_eq!(last.call().token().await, "new");
}

#[tokio::test(start_paused = true)]
async fn persisted_token_is_replaced_by_concurrent_force_refresh() {
    let store = Arc::<FakeStore>::default();
    FakeProcess::new(&store, FakeTransport::always_granting(DAY))
        .call()
        .token()
        .await;
    let transport =
        FakeTransport::scripted(|_, _| FakeOutcome::from(FakeResponse::token("new", HOUR)).after(seconds(1)));
    let process = FakeProcess::new(&store, transport);
    let mut other = process.call().cache_policy(CachePolicy::ForceRefresh);
    other.request.identity_not_found_timeout = Some(seconds(10)); // Another coalescing key than the next call.
    let forced = tokio::spawn(other.waiter().wait());
    settle().await;
    process.1.lock.try_lock().expect_err("held by the request");
    let plain = process.call();
    assert_eq!(plain.token().await, "t0");
    assert_eq!(text(&forced.await.expect("no panic").expect("a token")), "new");
    assert_eq!(text(&process.call().acquired()), "new");
}

#[tokio::test(start_paused = true)]
async fn token_expiring_soon_is_returned_before_it_is_persisted() {
    for (lifetime, waited) in [(2, Duration::ZERO), (HOUR, Duration::from_millis(900))] {
        let store = Arc::new(FakeStore {
            delays: [Duration::ZERO, Duration::from_millis(900)],
            ..FakeStore::default()
        });
        let process = FakeProcess::new(&store, FakeTransport::always_granting(lifetime));
        let started = Instant::now();
        assert_eq!(process.call().token().await, "t0");
        assert_eq!(started.elapsed(), waited, "{lifetime}");
    }
}
