//! Tokens in their last five minutes.

use super::*;

/// Creates a harness whose cache has `t0`, which expires in `remaining` seconds.
async fn with_token_expiring_in(remaining: u64) -> Harness {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    advance(seconds(HOUR - remaining)).await;
    harness
}

#[tokio::test(start_paused = true)]
async fn near_expiry_caller_waits_for_a_new_token() {
    let harness = with_token_expiring_in(299).await;
    harness.transport.set_script(|_, _| {
        FakeOutcome::from(FakeResponse::token("new", HOUR)).after(Duration::from_millis(1_900))
    });
    let acquired = harness.call().waiter().wait().await.expect("a token");
    assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("new", false));
    assert_eq!(text(&harness.call().acquired()), "new");
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn near_expiry_token_is_served_if_refresh_fails() {
    for status in [400, 503, 0, 1] {
        let harness = with_token_expiring_in(299).await;
        harness.transport.set_script(move |_, _| match status {
            0 => TransportErrorKind::ConnectionReset.into(),
            1 => FakeOutcome::Panic,
            status => FakeResponse::new(status, "").into(),
        });
        let started = Instant::now();
        let acquired = harness.call().waiter().wait().await.expect("a token");
        assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t0", true));
        assert_eq!(acquired.fresh_until, None);
        // There is only one retry: nothing is sent after the caller has been served.
        let waited = match status {
            503 => 2,
            0 => 1,
            _ => 0,
        };
        assert_eq!(started.elapsed(), seconds(waited), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn near_expiry_token_is_served_if_no_thread_starts() {
    let harness = with_token_expiring_in(299).await;
    NO_THREADS.set(true);
    let outcome = harness.call().outcome().await;
    NO_THREADS.set(false);
    assert_eq!(
        outcome.map(|acquired| text(&acquired)).expect("the cached token"),
        "t0"
    );
}

#[tokio::test(start_paused = true)]
async fn near_expiry_wait_is_two_seconds_from_request_start() {
    let harness = with_token_expiring_in(299).await;
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("new", HOUR)).after(seconds(5)));
    let started = Instant::now();
    let first = tokio::spawn(harness.call().waiter().wait());
    sleep(Duration::from_millis(1_500)).await;
    let second = tokio::spawn(harness.call().waiter().wait());
    for waiter in [first, second] {
        let acquired = waiter.await.expect("no panic").expect("a token");
        assert_eq!(text(&acquired), "t0");
        assert_eq!(started.elapsed(), seconds(2));
    }
    sleep(seconds(1)).await;
    let third = harness.call().waiter().wait().await.expect("a token");
    assert_eq!((text(&third).as_str(), started.elapsed()), ("t0", seconds(3)));
    sleep(seconds(3)).await;
    assert_eq!(
        (
            text(&harness.call().acquired()).as_str(),
            harness.transport.count()
        ),
        ("new", 2)
    );
}

#[tokio::test(start_paused = true)]
async fn endpoint_returning_near_expiry_tokens_is_requested_every_30s() {
    let harness = Harness::always_granting(240);
    let started = Instant::now();
    for second in 0..200_usize {
        let expected = format!("t{}", second / 30);
        assert_eq!(harness.call().token().await, expected, "{second}");
        sleep(seconds(1)).await;
    }
    let expected: Vec<u128> = (0..7).map(|nth| nth * 30_000).collect();
    assert_eq!(harness.transport.times(started), expected);
}

#[tokio::test(start_paused = true)]
async fn failing_endpoint_is_requested_every_30s_near_expiry() {
    let harness = with_token_expiring_in(299).await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(400, "").into());
    for _ in 0..298 {
        assert_eq!(harness.call().token().await, "t0");
        sleep(seconds(1)).await;
    }
    assert_eq!(harness.transport.count(), 1 + 10);
}

#[tokio::test(start_paused = true)]
async fn endpoint_returning_uncacheable_tokens_is_requested_every_30s() {
    let harness = with_token_expiring_in(299).await;
    harness
        .transport
        .set_script(|_, _| FakeResponse::new(200, r#"{"access_token":"of-unknown-expiry"}"#).into());
    for _ in 0..298 {
        harness.call().token().await;
        sleep(seconds(1)).await;
    }
    assert!(
        harness.transport.count() <= 1 + 10,
        "{} requests",
        harness.transport.count() - 1
    );
}

#[tokio::test(start_paused = true)]
async fn token_that_expires_during_the_wait_is_not_served() {
    // The request fails after the token has expired.
    let harness = with_token_expiring_in(1).await;
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::new(400, "")).after(Duration::from_millis(1_500)));
    assert_eq!(*harness.call().error().await.code(), Code::FailedResponse);

    // The request takes longer than the near-expiry wait, and the token has expired by then.
    let harness = with_token_expiring_in(1).await;
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("new", HOUR)).after(seconds(6)));
    assert_eq!(harness.call().token().await, "new");

    // There is no response.
    let harness = with_token_expiring_in(1).await;
    harness.transport.set_script(|_, _| FakeOutcome::Silence);
    let started = Instant::now();
    let error = harness.call().within(seconds(4)).error().await;
    assert_eq!(
        (error.code(), started.elapsed()),
        (&Code::NetworkUnavailable, seconds(4))
    );

    // The machine is suspended during the request.
    let harness = with_token_expiring_in(299).await;
    harness
        .transport
        .set_script(|_, _| FakeOutcome::from(FakeResponse::token("new", HOUR)).after(seconds(6)));
    let waiter = tokio::spawn(harness.call().waiter().wait());
    settle().await;
    harness.clock.jump(seconds(HOUR));
    let acquired = waiter.await.expect("no panic").expect("a token");
    assert_eq!(text(&acquired), "new");
}

#[tokio::test(start_paused = true)]
async fn short_total_timeout_serves_the_near_expiry_token() {
    let harness = with_token_expiring_in(299).await;
    harness.transport.set_script(|_, _| FakeOutcome::Silence);
    let started = Instant::now();
    let acquired = harness
        .call()
        .within(seconds(1))
        .outcome()
        .await
        .expect("a token");
    assert_eq!((text(&acquired).as_str(), started.elapsed()), ("t0", seconds(1)));
}
