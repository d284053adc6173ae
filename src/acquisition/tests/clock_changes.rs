//! Callers whose wall clock differs from the system's, because a test has replaced it: which tokens they are served, and
//! that their own tokens reach neither other threads nor the persistent cache.

use super::persistent_cache::{FakeProcess, FakeStore};
use super::*;
use crate::cache::persistent::PersistentCache;

/// Differences within the tolerance of 5 s, in milliseconds.
const CLOSE: [i64; 2] = [4_000, -4_000];
/// Differences just beyond the tolerance, and far beyond it, in milliseconds.
pub(super) const APART: [i64; 4] = [6_000, -6_000, 7_200_000, -7_200_000];
pub(super) const TWO_HOURS: i64 = 7_200_000;
/// 57 years back: fake timers start in 1970 by default.
pub(super) const TO_1970: i64 = -1_800_000_000_000;

impl Call {
    /// Calls from a thread with this number, whose clock is `ms` milliseconds ahead of the system's.
    pub(super) fn ahead(mut self, ms: i64, thread: u32) -> Self {
        self.ahead = (ms, thread);
        self
    }
}

/// Returns the expiry that the caller sees, in milliseconds after the start of the test by the system's clock.
pub(super) fn caller_expiry(acquired: &AcquiredToken) -> i64 {
    acquired.token.caller_expires_on().millis() - test_support::START.millis()
}

pub(super) const HOUR_MS: i64 = 3_600_000;

pub(super) fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).expect("positive"))
}

#[tokio::test(start_paused = true)]
async fn clocks_within_tolerance_share_tokens_and_persistent_cache() {
    for ahead in CLOSE {
        let store = Arc::<FakeStore>::default();
        let process = FakeProcess::new(&store, FakeTransport::always_granting(HOUR));
        let first = process.call().ahead(ahead, 1).outcome().await.expect("a token");
        assert_eq!(
            (caller_expiry(&first), first.fresh_until.is_some()),
            (HOUR_MS, true)
        );
        assert_eq!(store.counts(), (3, 1), "{ahead}");
        for (ahead, thread) in [(ahead, 1), (0, 2), (-ahead, 3)] {
            let acquired = process.call().ahead(ahead, thread).acquired();
            assert!(Arc::ptr_eq(&acquired.token, &first.token));
            assert_eq!(acquired.fresh_until, first.fresh_until);
        }
        let other = FakeProcess::new(&store, FakeTransport::always_granting(HOUR));
        assert_eq!(other.call().ahead(ahead, 1).token().await, "t0");
        assert_eq!(
            other.0.transport.count(),
            0,
            "{ahead}: the token is in the persistent cache"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn token_is_served_only_while_valid_by_both_clocks() {
    for ahead in CLOSE.into_iter().chain(APART) {
        let harness = Harness::always_granting(HOUR);
        harness.call().token().await;
        harness
            .transport
            .set_script(|_, _| FakeResponse::new(400, "").into());
        // By a clock that is ahead the token expires earlier; by a clock that is behind it does not expire later.
        let left = HOUR_MS - ahead.max(0);
        if left > 0 {
            harness.clock.jump(millis(left - 1));
            assert_eq!(harness.call().ahead(ahead, 1).token().await, "t0", "{ahead}");
            harness.clock.jump(millis(1));
        }
        harness.call().ahead(ahead, 1).error().await;
        if ahead > 0 && ahead < HOUR_MS {
            assert_eq!(
                harness.call().token().await,
                "t0",
                "{ahead}: the token is still served by the system's clock"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn differing_clocks_bypass_the_persistent_cache() {
    for ahead in APART {
        let store = Arc::<FakeStore>::default();
        FakeProcess::new(&store, FakeTransport::always_granting(HOUR))
            .call()
            .token()
            .await;
        let (before, record) = (store.counts(), store.records().clone());
        let process = FakeProcess::new(
            &store,
            FakeTransport::scripted(|nth, _| FakeResponse::token(&format!("own{nth}"), HOUR).into()),
        );
        let call = || process.call().ahead(ahead, 1);
        assert_eq!(call().token().await, "own0", "{ahead}");
        assert_eq!(
            call().cache_policy(CachePolicy::ForceRefresh).token().await,
            "own1"
        );
        assert_eq!(
            call().cache_policy(CachePolicy::ReplaceRefused).token().await,
            "own2"
        );
        assert_eq!(text(&call().acquired()), "own2");
        assert_eq!(store.counts(), before);
        assert_eq!(*store.records(), record);
        // By the system's clock the persistent cache is used again, and the other clock's tokens are not served.
        assert_eq!(process.call().token().await, "t0");
    }
}

#[tokio::test(start_paused = true)]
async fn unsafe_store_is_not_an_error_for_calls_that_bypass_it() {
    let store = Arc::new(FakeStore {
        is_unsafe: true,
        ..FakeStore::default()
    });
    let mut call = Harness::always_granting(HOUR).call().ahead(TWO_HOURS, 1);
    call.application = call.application.with_persistent_cache(PersistentCache {
        store,
        hostname: "host".into(),
    });
    assert_eq!(call.token().await, "t0");
}

#[tokio::test(start_paused = true)]
async fn token_of_a_replaced_clock_is_not_shared_with_other_threads() {
    for ahead in APART {
        let harness = Harness::always_granting(HOUR);
        let generation = harness.client.generation();
        assert_eq!(harness.call().ahead(ahead, 1).token().await, "t0");
        assert_eq!(
            harness.call().ahead(ahead, 2).token().await,
            "t1",
            "{ahead}: another thread"
        );
        assert_eq!(harness.call().token().await, "t2", "{ahead}: the system's clock");
        let forced = harness
            .call()
            .ahead(ahead, 1)
            .cache_policy(CachePolicy::ForceRefresh)
            .outcome()
            .await
            .expect("a token");
        assert_eq!((text(&forced).as_str(), forced.fresh_until), ("t3", None));
        for (ahead, thread, expected) in [(ahead, 1, "t3"), (0, 1, "t2"), (0, 2, "t2"), (0, 3, "t2")] {
            assert_eq!(text(&harness.call().ahead(ahead, thread).acquired()), expected);
        }
        assert_eq!(
            harness.client.generation(),
            generation,
            "no token memo is invalidated"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn callers_with_different_clocks_do_not_share_a_request() {
    let harness = Harness::scripted(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), HOUR)).after(seconds(1))
    });
    let waiters = [(0, 1), (TWO_HOURS, 1), (TWO_HOURS, 2), (-TWO_HOURS, 1), (0, 2)]
        .map(|(ahead, thread)| harness.call().ahead(ahead, thread).waiter());
    // Calls of one thread share a request under any replaced clock.
    assert_eq!(all(waiters.into()).await, ["t0", "t1", "t2", "t1", "t0"]);
}

#[tokio::test(start_paused = true)]
async fn advanced_clock_does_not_join_an_earlier_request() {
    for (moved, expected) in [
        (4_000, ["t0", "t0"]), // Within the tolerance.
        (6_000, ["t0", "t1"]),
        (TWO_HOURS, ["t0", "t1"]),
        (-TWO_HOURS, ["t0", "t0"]),
    ] {
        let harness = Harness::scripted(|nth, _| {
            FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), HOUR)).after(seconds(1))
        });
        let first = harness.call().ahead(10 * HOUR_MS, 1).waiter();
        let second = harness.call().ahead(10 * HOUR_MS + moved, 1).waiter();
        assert_eq!(all(vec![first, second]).await, expected, "{moved}");
        assert_eq!(
            harness.call().ahead(10 * HOUR_MS + moved, 1).token().await,
            expected[1]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn token_expired_by_a_replaced_clock_stays_cached_for_other_threads() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    let acquired = harness
        .call()
        .ahead(TWO_HOURS, 1)
        .outcome()
        .await
        .expect("a token");
    assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t1", false));
    assert_eq!(
        acquired.metadata.cache_refresh_reason,
        CacheRefreshReason::Expired
    );
    for (ahead, thread, expected) in [(0, 1, "t0"), (0, 2, "t0"), (TWO_HOURS, 1, "t1")] {
        assert_eq!(text(&harness.call().ahead(ahead, thread).acquired()), expected);
    }
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn token_of_unknown_expiry_is_served_once_with_a_replaced_clock() {
    let harness = Harness::scripted(|_, _| FakeResponse::new(200, r#"{"access_token":"once"}"#).into());
    for requests in 1..=2 {
        let acquired = harness
            .call()
            .ahead(TWO_HOURS, 1)
            .outcome()
            .await
            .expect("a token");
        assert_eq!(
            (text(&acquired).as_str(), harness.transport.count()),
            ("once", requests)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn restored_clock_does_not_serve_tokens_dated_by_a_replaced_clock() {
    for ahead in [TWO_HOURS, -TWO_HOURS] {
        let harness = Harness::always_granting(HOUR);
        let acquired = harness.call().ahead(ahead, 1).outcome().await.expect("a token");
        assert_eq!(acquired.fresh_until, None, "the token memo must not serve it");
        assert_eq!(acquired.generation, harness.client.generation());
        let restored = harness.call().outcome().await.expect("a token");
        assert_eq!(
            (text(&restored).as_str(), caller_expiry(&restored)),
            ("t1", HOUR_MS)
        );
        // A clear removes the tokens of replaced clocks, too.
        harness.client.clear();
        assert_eq!(harness.call().ahead(ahead, 1).token().await, "t2");
    }
}

#[tokio::test(start_paused = true)]
async fn token_refused_with_a_replaced_clock_is_not_copied_again() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(200, r#"{"access_token":"once"}"#).into());
    let call = || harness.call().ahead(TWO_HOURS / 4, 1);
    assert_eq!(text(&call().acquired()), "t0");
    assert_eq!(
        call().cache_policy(CachePolicy::ForceRefresh).token().await,
        "once"
    );
    assert_eq!(call().token().await, "once", "t0 was refused");
    assert_eq!(text(&harness.call().acquired()), "t0");
}

#[tokio::test(start_paused = true)]
async fn newer_shared_token_precedes_the_copy_of_an_older_one() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    let by_replaced_clock = || text(&harness.call().ahead(TWO_HOURS / 4, 1).acquired());
    assert_eq!(by_replaced_clock(), "t0");
    assert_eq!(
        harness
            .call()
            .cache_policy(CachePolicy::ForceRefresh)
            .token()
            .await,
        "t1"
    );
    assert_eq!(by_replaced_clock(), "t1");
}

#[tokio::test(start_paused = true)]
async fn invalid_caller_clock_is_harmless() {
    let harness = Harness::always_granting(HOUR);
    for ahead in [i64::MIN, i64::MAX, -i64::MAX, 8_640_000_000_000_000] {
        assert!(harness.call().ahead(ahead, 1).outcome().await.is_ok(), "{ahead}");
    }
    harness.call().token().await;
    for ahead in [i64::MIN, i64::MAX] {
        assert!(harness.call().ahead(ahead, 1).outcome().await.is_ok(), "{ahead}");
    }
}
