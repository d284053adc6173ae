//! `flush` waits for the acquisitions that are under way when it is called, and for their writes.

use super::persistent_cache::{FakeProcess, FakeStore};
use super::*;
use crate::options::UntypedValue;

/// Waits for a flush. Returns whether it completed and how long it took.
async fn flush(client: &TokenClient, timeout: UntypedValue) -> (bool, Duration) {
    let started = Instant::now();
    let ended = client.flush(&timeout).expect("a valid timeout");
    (
        ended.expect("an acquisition is under way").await,
        started.elapsed(),
    )
}

fn is_idle(client: &TokenClient) -> bool {
    let flush = client.flush(&UntypedValue::Undefined);
    flush.expect("a valid timeout").is_none()
}

/// Returns a harness whose cached token is stale and whose endpoint now responds after a delay.
async fn with_stale_token(delay: Duration) -> Harness {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    settle().await;
    harness.clock.jump(seconds(DAY / 2 + 600));
    harness
        .transport
        .set_script(move |_, _| FakeOutcome::from(FakeResponse::token("new", DAY)).after(delay));
    harness
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_background_refresh_and_not_for_later_ones() {
    let harness = with_stale_token(seconds(3)).await;
    assert!(is_idle(&harness.client));
    assert_eq!(text(&harness.call().acquired()), "t0");
    let flushing = {
        let client = harness.client.clone();
        tokio::spawn(async move { flush(&client, UntypedValue::Undefined).await })
    };
    sleep(seconds(1)).await;
    let later = tokio::spawn(harness.for_resource("https://later").waiter().wait());
    assert_eq!(flushing.await.expect("no panic"), (true, seconds(3)));
    assert_eq!(text(&harness.call().acquired()), "new");
    assert!(!later.is_finished() && !is_idle(&harness.client));
    later.await.expect("no panic").expect("a token");
    settle().await;
    assert!(is_idle(&harness.client));
}

#[tokio::test(start_paused = true)]
async fn flush_ends_at_its_timeout_which_is_5s_by_default() {
    for (timeout, limit) in [(UntypedValue::Undefined, 5), (UntypedValue::Number(1_000.0), 1)] {
        let harness = with_stale_token(seconds(8)).await;
        harness.call().acquired();
        assert_eq!(flush(&harness.client, timeout).await, (false, seconds(limit)));
    }
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_requests_without_callers_and_for_cleared_ones() {
    let harness =
        Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(2)));
    let waiter = harness.call().waiter();
    settle().await;
    drop(waiter);
    harness.client.clear();
    let (is_complete, took) = flush(&harness.client, UntypedValue::Undefined).await;
    assert!(is_complete && took > seconds(1) && took <= seconds(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_write_to_persistent_cache() {
    let store = Arc::new(FakeStore {
        delays: [Duration::ZERO, seconds(4)],
        ..FakeStore::default()
    });
    let process = FakeProcess::new(&store, FakeTransport::always_granting(DAY));
    let started = Instant::now();
    process.call().token().await;
    assert_eq!((started.elapsed(), store.records().len()), (seconds(1), 0));
    let flushed = flush(&process.0.client, UntypedValue::Undefined).await;
    assert_eq!((flushed, store.records().len()), ((true, seconds(3)), 1));
}

#[tokio::test(start_paused = true)]
async fn invalid_timeout_is_rejected() {
    let harness = Harness::always_granting(DAY);
    for timeout in [UntypedValue::Number(0.0), UntypedValue::String("1".to_owned())] {
        let Err(error) = harness.client.flush(&timeout) else {
            panic!("{timeout:?} is accepted");
        };
        assert_eq!(*error.code(), Code::InvalidConfiguration);
    }
}
