//! Fresh, stale and expired tokens.

use super::*;
use crate::log::{Log, LogSink};

#[tokio::test(start_paused = true)]
async fn fresh_token_is_served_without_a_request() {
    let harness = Harness::always_granting(DAY);
    let first = harness.call().outcome().await.expect("a token");
    assert!(!first.from_cache);
    assert_eq!(
        first.token.expires_on,
        test_support::START.saturating_add(seconds(DAY))
    );
    assert_eq!(
        first.token.refresh_on,
        Some(test_support::START.saturating_add(seconds(DAY / 2)))
    );
    advance(Duration::from_millis(DAY / 2 * 1_000 - 1)).await;
    let second = harness.call().acquired();
    assert!(second.from_cache && Arc::ptr_eq(&first.token, &second.token));
    assert_eq!(second.fresh_until, first.fresh_until);
    settle().await;
    assert_eq!(harness.transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn stale_token_is_served_at_once_with_one_background_refresh() {
    let harness = Harness::always_granting(DAY);
    let first = harness.call().outcome().await.expect("a token");
    harness.transport.set_script(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(5))
    });
    advance(
        first
            .fresh_until
            .expect("fresh")
            .saturating_duration_since(test_support::START),
    )
    .await;
    for _ in 0..100 {
        let acquired = harness.call().acquired();
        assert!(
            acquired.from_cache && acquired.fresh_until.is_none(),
            "it must not be memoized"
        );
        assert_eq!(text(&acquired), "t0");
    }
    settle().await;
    assert_eq!(harness.transport.count(), 2);
    assert_eq!(text(&harness.call().acquired()), "t0");
    sleep(seconds(5)).await;
    assert_eq!(
        (
            text(&harness.call().acquired()).as_str(),
            harness.transport.count()
        ),
        ("t1", 2)
    );
}

#[tokio::test(start_paused = true)]
async fn unused_stale_token_is_not_refreshed() {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    sleep(seconds(DAY * 3 / 4)).await;
    assert_eq!(harness.transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn refresh_does_not_start_before_its_jitter() {
    let harness = Harness::always_granting(DAY);
    let first = harness.call().outcome().await.expect("a token");
    let fresh_until = first.fresh_until.expect("fresh");
    let last = fresh_until.saturating_sub(Duration::from_millis(1));
    advance(last.saturating_duration_since(test_support::START)).await;
    harness.call().acquired();
    settle().await;
    assert_eq!(harness.transport.count(), 1);
    harness.call().acquired();
    settle().await;
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn refresh_jitter_is_up_to_5min_and_fixed_per_key() {
    let harness = Harness::always_granting(DAY);
    let mut seen = Vec::new();
    for round in 0..3 {
        for nth in 0..50 {
            let call = harness.for_resource(&format!("https://{nth}.example"));
            let acquired = call
                .cache_policy(CachePolicy::ForceRefresh)
                .outcome()
                .await
                .expect("a token");
            let refresh_on = acquired.token.refresh_on.expect("half of a day");
            let jitter = acquired
                .fresh_until
                .expect("fresh")
                .saturating_duration_since(refresh_on);
            assert!(
                acquired.fresh_until >= Some(refresh_on) && jitter <= seconds(300),
                "{jitter:?}"
            );
            if round == 0 {
                seen.push(jitter);
            }
            assert_eq!(jitter, seen[nth], "fixed");
        }
        harness.client.clear();
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 40, "{} different values of 50", seen.len());
}

#[tokio::test(start_paused = true)]
async fn one_hour_token_is_fresh_until_near_expiry() {
    let harness = Harness::always_granting(HOUR);
    let first = harness.call().outcome().await.expect("a token");
    assert_eq!(first.token.refresh_on, None);
    assert_eq!(
        first.fresh_until,
        Some(test_support::START.saturating_add(seconds(HOUR - 300)))
    );
    advance(seconds(HOUR - 301)).await;
    harness.call().acquired();
    settle().await;
    assert_eq!(harness.transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_background_refresh_is_hidden_and_backs_off() {
    for fault in [false, true] {
        let harness = Harness::always_granting(DAY);
        harness.call().token().await;
        let started = Instant::now();
        harness.transport.set_script(move |_, _| {
            if fault {
                TransportErrorKind::Tls.into()
            } else {
                FakeResponse::new(400, "").into()
            }
        });
        advance(seconds(DAY / 2 + 300)).await;
        for _ in 0..1_700 {
            assert_eq!(text(&harness.call().acquired()), "t0");
            sleep(seconds(1)).await;
        }
        let times = harness.transport.times(started);
        let pauses: Vec<_> = times[1..]
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) / 1_000)
            .collect();
        assert_eq!(pauses, [30, 60, 120, 240, 300, 300, 300, 300]);
    }
}

#[tokio::test(start_paused = true)]
async fn successful_refresh_resets_the_backoff() {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    harness.transport.set_script(|nth, _| match nth {
        1 | 2 => FakeResponse::new(400, "").into(),
        _ => FakeResponse::token("new", DAY).into(),
    });
    advance(seconds(DAY / 2 + 300)).await;
    for pause in [0, 30, 60] {
        sleep(seconds(pause)).await;
        assert_eq!(text(&harness.call().acquired()), "t0");
        settle().await;
    }
    assert_eq!(
        (
            text(&harness.call().acquired()).as_str(),
            harness.transport.count()
        ),
        ("new", 4)
    );
}

#[tokio::test(start_paused = true)]
async fn uncacheable_refresh_backs_off() {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    let started = Instant::now();
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(200, r#"{"access_token":"of-unknown-expiry"}"#).into());
    advance(seconds(DAY / 2 + 300)).await;
    for _ in 0..60 {
        assert_eq!(text(&harness.call().acquired()), "t0");
        sleep(seconds(1)).await;
    }
    let times = harness.transport.times(started);
    assert!(times.len() <= 4, "{} requests in a minute", times.len() - 1);
}

#[derive(Default)]
struct Lines(Mutex<Vec<(Level, String)>>);

impl LogSink for Lines {
    fn write_line(&self, level: Level, line: String) {
        self.0.lock().expect("unpoisoned").push((level, line));
    }
}

#[tokio::test(start_paused = true)]
async fn failed_refresh_is_logged_by_the_starting_application() {
    let lines = Arc::new(Lines::default());
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(400, r#"{"error":"invalid_request"}"#).into());
    advance(seconds(DAY / 2 + 300)).await;
    let mut call = harness.call();
    call.application.log = Log::new(Level::Warning, Some(lines.clone()));
    call.acquired();
    harness.call().acquired();
    settle().await;
    let lines = lines.0.lock().expect("unpoisoned");
    assert_eq!(lines.len(), 1);
    let (level, line) = &lines[0];
    assert_eq!(*level, Level::Warning);
    assert!(
        line.contains("[call-1]") && line.contains("a background refresh failed: invalid_request: "),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn expired_token_is_never_served() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(400, r#"{"error":"invalid_request"}"#).into());
    advance(seconds(HOUR)).await;
    for cache_policy in [
        CachePolicy::UseCache,
        CachePolicy::ForceRefresh,
        CachePolicy::ReplaceRefused,
    ] {
        assert_eq!(
            harness
                .call()
                .cache_policy(cache_policy)
                .error()
                .await
                .code()
                .as_str(),
            "invalid_request"
        );
    }
    harness
        .transport
        .set_script(|_, _| FakeResponse::token("new", HOUR).into());
    assert_eq!(harness.call().token().await, "new");
}

#[tokio::test(start_paused = true)]
async fn tokens_expire_during_suspend() {
    for (suspended, expected) in [(HOUR - 301, 1), (HOUR, 2), (40 * DAY, 2)] {
        let harness = Harness::always_granting(HOUR);
        harness.call().token().await;
        // The monotonic clock does not advance during a suspend.
        harness.clock.jump(seconds(suspended));
        harness.call().token().await;
        assert_eq!(harness.transport.count(), expected, "{suspended}");
    }
}

#[tokio::test(start_paused = true)]
async fn background_refresh_uses_the_application_timeout_and_emits_an_event() {
    let lines = Arc::new(Lines::default());
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    harness.transport.set_script(|_, _| FakeOutcome::Silence);
    advance(seconds(DAY / 2 + 300)).await;
    let mut call = harness
        .call()
        .set(|raw| raw.request_timeout = crate::options::UntypedValue::Number(600_000.0));
    call.application.log = Log::new(Level::Warning, Some(lines.clone()));
    call.within(seconds(1)).acquired();
    sleep(seconds(119)).await;
    assert!(lines.0.lock().expect("unpoisoned").is_empty());
    sleep(seconds(2)).await;
    let lines = lines.0.lock().expect("unpoisoned");
    assert!(
        lines[0]
            .1
            .contains("a background refresh failed: network_unavailable: "),
        "{lines:?}"
    );
}
