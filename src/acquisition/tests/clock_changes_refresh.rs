//! How a token ages by a caller's clock that differs from the system's: its dates, refreshes, backoff and fallback.

use super::clock_changes::{APART, HOUR_MS, TO_1970, TWO_HOURS, caller_expiry, millis};
use super::*;

#[tokio::test(start_paused = true)]
async fn lifetime_starts_at_the_call_by_caller_clock_and_at_the_response_by_system_clock() {
    for ahead in [20_000, -20_000, TWO_HOURS, -TWO_HOURS, TO_1970] {
        let harness =
            Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::token("t", HOUR)).after(seconds(2)));
        let acquired = harness.call().ahead(ahead, 1).outcome().await.expect("a token");
        assert_eq!(caller_expiry(&acquired), ahead + HOUR_MS, "{ahead}");
        assert_eq!(
            acquired.token.expires_on,
            test_support::START.saturating_add(seconds(HOUR + 2))
        );
        // The caller's clock has stood still since the call.
        assert_eq!(
            caller_expiry(&harness.call().ahead(ahead - 2_000, 1).acquired()),
            ahead + HOUR_MS
        );
        assert_eq!(harness.transport.count(), 1);
        // Then it advances beyond the token's lifetime.
        let moved = harness
            .call()
            .ahead(ahead - 2_000 + HOUR_MS, 1)
            .outcome()
            .await
            .expect("a token");
        assert!(!moved.from_cache, "{ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn expiry_timestamp_may_be_of_either_clock() {
    let start = test_support::START.millis() / 1_000;
    for ahead in [TWO_HOURS / 1_000, -TWO_HOURS / 1_000, TO_1970 / 1_000] {
        for (expires_on, left) in [
            (start + 3_600, 3_600),            // The endpoint uses the system's clock,
            (start + ahead + 1_800, 1_800),    // the caller's clock,
            (start + ahead.max(0) + 600, 600), // or the clock that is ahead.
        ] {
            let body = format!(r#"{{"access_token":"t","expires_on":{expires_on}}}"#);
            let harness = Harness::scripted(move |_, _| FakeResponse::new(200, body.clone()).into());
            let acquired = harness
                .call()
                .ahead(ahead * 1_000, 1)
                .outcome()
                .await
                .expect("a token");
            assert_eq!(
                caller_expiry(&acquired),
                (ahead + left) * 1_000,
                "{ahead} {expires_on}"
            );
        }
        // A time before the present of both clocks, or 57 years after one, is not plausible.
        let expired = start + ahead.clamp(-7_200, 0) - 1;
        let body = format!(r#"{{"access_token":"t","expires_on":{expired}}}"#);
        let harness = Harness::scripted(move |_, _| FakeResponse::new(200, body.clone()).into());
        let error = harness.call().ahead(ahead * 1_000, 1).error().await;
        assert_eq!(*error.code(), Code::FailedResponse);
    }
}

#[tokio::test(start_paused = true)]
async fn shared_token_ages_with_a_clock_that_was_set_back() {
    for ahead in [-6_000, -TWO_HOURS, TO_1970] {
        let harness = Harness::always_granting(HOUR);
        harness.call().token().await;
        let back = harness.call().ahead(ahead, 1).acquired();
        assert_eq!(
            (text(&back).as_str(), caller_expiry(&back)),
            ("t0", ahead + HOUR_MS)
        );
        let moved = harness
            .call()
            .ahead(ahead + HOUR_MS, 1)
            .outcome()
            .await
            .expect("a token");
        assert_eq!(
            (text(&moved).as_str(), moved.from_cache),
            ("t1", false),
            "{ahead}"
        );
        // After the clock is set back again, the newer token is served, and ages again.
        assert_eq!(text(&harness.call().ahead(ahead, 1).acquired()), "t1");
        assert_eq!(harness.call().ahead(ahead + HOUR_MS, 1).token().await, "t2");
        assert_eq!(text(&harness.call().acquired()), "t0");
    }
}

#[tokio::test(start_paused = true)]
async fn real_time_expires_a_token_dated_by_a_replaced_clock() {
    for ahead in APART {
        let harness = Harness::always_granting(HOUR);
        harness.call().ahead(ahead, 1).token().await;
        // The caller's clock stands still while real time passes.
        harness.clock.jump(seconds(HOUR));
        let still = harness
            .call()
            .ahead(ahead - HOUR_MS, 1)
            .outcome()
            .await
            .expect("a token");
        assert_eq!(
            (text(&still).as_str(), still.from_cache),
            ("t1", false),
            "{ahead}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn token_stale_by_a_replaced_clock_is_refreshed_for_its_thread_only() {
    let harness = Harness::always_granting(DAY);
    let first = harness.call().outcome().await.expect("a token");
    let half = i64::try_from(DAY).expect("small") / 2 * 1_000 + 300_000;
    assert_eq!(text(&harness.call().ahead(half, 1).acquired()), "t0");
    settle().await;
    assert_eq!(harness.transport.count(), 2);
    let acquired = harness.call().ahead(half, 1).acquired();
    assert_eq!((text(&acquired).as_str(), acquired.fresh_until), ("t1", None));
    assert_eq!(
        acquired.token.caller_refresh_on(),
        first.token.refresh_on.map(|on| on.with_offset(half))
    );
    assert_eq!(text(&harness.call().acquired()), "t0");
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn refresh_backoff_follows_the_replaced_clock() {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(400, "").into());
    let half = i64::try_from(DAY).expect("small") / 2 * 1_000 + 300_000;
    // Seconds by the caller's clock while the other clocks stand still: 30 s after the first failure, then 60 s.
    for (after, requests) in [(0, 2), (29, 2), (30, 3), (89, 3), (90, 4)] {
        assert_eq!(
            text(&harness.call().ahead(half + after * 1_000, 1).acquired()),
            "t0"
        );
        settle().await;
        assert_eq!(harness.transport.count(), requests, "{after}");
    }
    // Other callers see no failure.
    harness
        .transport
        .set_script(|_, _| FakeResponse::token("new", DAY).into());
    harness.clock.jump(seconds(DAY / 2 + 300));
    assert_eq!(text(&harness.call().acquired()), "t0");
    settle().await;
    assert_eq!(text(&harness.call().acquired()), "new");
}

#[tokio::test(start_paused = true)]
async fn token_near_expiry_by_a_replaced_clock_is_refreshed_first_and_is_the_fallback() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    let four_minutes_left = HOUR_MS - 240_000;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(400, "").into());
    let acquired = harness
        .call()
        .ahead(four_minutes_left, 1)
        .outcome()
        .await
        .expect("a token");
    assert_eq!((text(&acquired).as_str(), harness.transport.count()), ("t0", 2));
    assert_eq!(
        text(&harness.call().ahead(four_minutes_left, 1).acquired()),
        "t0",
        "the backoff applies"
    );
    harness
        .transport
        .set_script(|_, _| FakeResponse::token("new", HOUR).into());
    assert_eq!(
        harness.call().ahead(four_minutes_left + 30_000, 1).token().await,
        "new"
    );
    assert_eq!(text(&harness.call().acquired()), "t0");
}

#[tokio::test(start_paused = true)]
async fn fallback_expired_by_the_caller_clock_is_not_served() {
    for (left, expected) in [(3_000, "t0"), (1_000, "network_unavailable")] {
        for ahead in [4_000, TWO_HOURS] {
            let harness = Harness::always_granting(u64::try_from(ahead).expect("positive") / 1_000 + HOUR);
            harness.call().token().await;
            harness.transport.set_script(|_, _| FakeOutcome::Silence);
            harness.clock.jump(millis(HOUR_MS - left));
            let call = harness.call().ahead(ahead, 1).within(seconds(5));
            assert_eq!(all(vec![call.waiter()]).await, [expected], "{left} {ahead}");
        }
    }
}
