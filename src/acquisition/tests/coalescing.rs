//! Any number of callers share one request.

use super::*;

#[tokio::test(start_paused = true)]
async fn thousand_callers_share_one_request_and_token() {
    let harness =
        Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(1)));
    let mut tasks = Vec::new();
    for nth in 0..1_000 {
        tasks.push(tokio::spawn(harness.call().waiter().wait()));
        if nth % 100 == 0 {
            settle().await;
        }
    }
    let mut tokens = Vec::new();
    for task in tasks {
        let acquired = task.await.expect("no panic").expect("a token");
        assert!(!acquired.from_cache && acquired.fresh_until.is_some());
        tokens.push(acquired.token);
    }
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
    assert_eq!(harness.transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn error_is_shared_by_waiters_and_not_cached() {
    let harness = Harness::scripted(|nth, _| match nth {
        0 => FakeOutcome::from(FakeResponse::new(
            400,
            r#"{"error":"invalid_request","correlation_id":"c"}"#,
        ))
        .after(seconds(1)),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let tasks: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(harness.call().waiter().wait()))
        .collect();
    for task in tasks {
        let error = task.await.expect("no panic").expect_err("an error");
        assert_eq!(error.code().as_str(), "invalid_request");
        let details = error.details();
        assert_eq!(
            (details.correlation_id.as_deref(), details.attempts),
            (Some("c"), Some(1))
        );
    }
    assert_eq!(
        (harness.transport.count(), harness.call().token().await.as_str()),
        (1, "t")
    );
    assert_eq!(harness.transport.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn sent_request_completes_without_waiters_and_its_token_is_cached() {
    let harness =
        Harness::scripted(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(1)));
    let waiter = harness.call().waiter();
    settle().await;
    drop(waiter);
    sleep(seconds(2)).await;
    assert_eq!(
        (
            text(&harness.call().acquired()).as_str(),
            harness.transport.count()
        ),
        ("t", 1)
    );
}

/// Starts a call and drops its waiter once the request has been sent.
async fn leave_once_sent(call: Call) {
    let waiter = call.waiter();
    settle().await;
    drop(waiter);
}

/// The triggers of a request. The last two need a cached token.
const STARTERS: [&str; 5] = ["empty", "forced", "claims", "refresh", "claims with a hash"];

/// Creates a harness with an in-flight request of this trigger, which takes five seconds and has no waiter.
async fn with_in_flight_request(starter: &str) -> (Harness, Call) {
    let harness = Harness::always_granting(HOUR);
    let call = harness.call();
    let call = if starter == "claims with a hash" {
        call.env(SERVICE_FABRIC)
    } else {
        call
    };
    if STARTERS[3..].contains(&starter) {
        call.clone().token().await;
    }
    harness.transport.set_script(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), HOUR)).after(seconds(5))
    });
    let cache_policy = match starter {
        "forced" => CachePolicy::ForceRefresh,
        "claims" | "claims with a hash" => CachePolicy::ReplaceRefused,
        _ => CachePolicy::UseCache,
    };
    if starter == "refresh" {
        advance(seconds(HOUR - 299)).await;
    }
    leave_once_sent(call.clone().cache_policy(cache_policy)).await;
    (harness, call)
}

#[tokio::test(start_paused = true)]
async fn trigger_decides_which_request_is_joined() {
    for (starter, cache_policy, joins) in [
        ("empty", CachePolicy::UseCache, true),
        ("empty", CachePolicy::ForceRefresh, true),
        ("empty", CachePolicy::ReplaceRefused, true),
        ("forced", CachePolicy::UseCache, true),
        ("forced", CachePolicy::ForceRefresh, true),
        ("forced", CachePolicy::ReplaceRefused, true),
        ("claims", CachePolicy::UseCache, true),
        ("claims", CachePolicy::ForceRefresh, false),
        ("claims", CachePolicy::ReplaceRefused, true),
        ("refresh", CachePolicy::UseCache, true),
        ("refresh", CachePolicy::ForceRefresh, false),
        ("refresh", CachePolicy::ReplaceRefused, false),
        ("claims with a hash", CachePolicy::ForceRefresh, false),
        ("claims with a hash", CachePolicy::ReplaceRefused, true),
    ] {
        let (harness, call) = with_in_flight_request(starter).await;
        let before = harness.transport.count();
        leave_once_sent(call.cache_policy(cache_policy)).await;
        assert_eq!(
            harness.transport.count() == before,
            joins,
            "{starter} {cache_policy:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn claims_challenge_joins_only_a_request_with_the_same_hash() {
    let harness = Harness::always_granting(HOUR);
    let call = harness.call().env(SERVICE_FABRIC);
    call.clone().token().await;
    harness.transport.set_script(|nth, _| {
        let wait = if nth == 2 { 1 } else { 10 };
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), HOUR)).after(seconds(wait))
    });
    // A slow request is to replace t0. In the meantime t2 replaces it.
    leave_once_sent(call.clone().cache_policy(CachePolicy::ReplaceRefused)).await;
    assert_eq!(
        call.clone().cache_policy(CachePolicy::ForceRefresh).token().await,
        "t2"
    );
    leave_once_sent(call.clone().cache_policy(CachePolicy::ReplaceRefused)).await;
    leave_once_sent(call.cache_policy(CachePolicy::ReplaceRefused)).await;
    let urls: Vec<_> = harness
        .transport
        .requests()
        .iter()
        .map(|request| request.url.to_string())
        .collect();
    assert_eq!(urls.len(), 4);
    let [first, second] = [&urls[1], &urls[3]];
    assert!(first.contains("token_sha256_to_refresh=") && second.contains("token_sha256_to_refresh="));
    assert_ne!(first, second);
}

#[tokio::test(start_paused = true)]
async fn token_of_older_request_does_not_replace_a_newer_one() {
    let harness = Harness::always_granting(HOUR);
    harness.call().token().await;
    advance(seconds(HOUR - 299)).await;
    harness.transport.set_script(|nth, _| match nth {
        1 => FakeOutcome::from(FakeResponse::token("older", HOUR)).after(seconds(1)),
        _ => FakeResponse::token("newer", HOUR).into(),
    });
    let refreshed = tokio::spawn(harness.call().waiter().wait());
    settle().await;
    assert_eq!(
        harness
            .call()
            .cache_policy(CachePolicy::ForceRefresh)
            .token()
            .await,
        "newer"
    );
    let older = refreshed.await.expect("no panic").expect("a token");
    assert_eq!((text(&older).as_str(), older.fresh_until), ("older", None));
    assert_eq!(text(&harness.call().acquired()), "newer");
}

#[tokio::test(start_paused = true)]
async fn clear_discards_results_of_in_flight_requests() {
    let harness = Harness::scripted(|nth, _| {
        let wait = if nth == 0 { 5 } else { 10 };
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(wait))
    });
    let first = tokio::spawn(harness.call().waiter().wait());
    settle().await;
    harness.client.clear();
    let later = tokio::spawn(harness.call().waiter().wait());
    settle().await;
    assert_eq!(
        harness.transport.count(),
        2,
        "a later caller starts a new request"
    );
    let discarded = first.await.expect("no panic").expect("a token");
    assert_eq!((text(&discarded).as_str(), discarded.fresh_until), ("t0", None));
    // The later request can still be joined after the end of the first.
    leave_once_sent(harness.call()).await;
    assert_eq!(harness.transport.count(), 2);
    assert_eq!(text(&later.await.expect("no panic").expect("a token")), "t1");
    assert_eq!(text(&harness.call().acquired()), "t1");
}

#[tokio::test(start_paused = true)]
async fn failure_from_before_a_clear_does_not_delay_later_refreshes() {
    let harness = Harness::always_granting(DAY);
    harness.call().token().await;
    advance(seconds(DAY / 2 + 300)).await;
    harness.transport.set_script(|nth, _| match nth {
        1 => FakeOutcome::from(FakeResponse::new(400, "")).after(seconds(5)),
        _ => FakeResponse::token(&format!("t{nth}"), DAY).into(),
    });
    harness.call().acquired();
    settle().await;
    harness.client.clear();
    assert_eq!(harness.call().token().await, "t2");
    sleep(seconds(6)).await;
    harness.clock.jump(seconds(DAY / 2 + 300));
    harness.call().acquired();
    settle().await;
    assert_eq!(harness.transport.count(), 4);
}
