//! One chain of requests, however many callers.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_are_one_request_and_get_the_same_token() {
    let desk = Desk::playing(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(1)));
    let mut tasks = Vec::new();
    for nth in 0..1_000 {
        tasks.push(tokio::spawn(desk.call().waiter().wait()));
        if nth % 100 == 0 {
            settle().await;
        }
    }
    let mut tokens = Vec::new();
    for task in tasks {
        let served = task.await.expect("no panic").expect("a token");
        assert!(!served.from_cache && served.fresh_until.is_some());
        tokens.push(served.token);
    }
    assert!(tokens.iter().all(|token| Arc::ptr_eq(token, &tokens[0])));
    assert_eq!(desk.net.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_everybodys_and_not_remembered() {
    let desk = Desk::playing(|nth, _| match nth {
        0 => FakeOutcome::from(FakeResponse::new(
            400,
            r#"{"error":"invalid_request","correlation_id":"c"}"#,
        ))
        .after(seconds(1)),
        _ => FakeResponse::token("t", DAY).into(),
    });
    let tasks: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(desk.call().waiter().wait()))
        .collect();
    for task in tasks {
        let error = task.await.expect("no panic").expect_err("an error");
        assert_eq!(error.code().as_str(), "invalid_request");
        let facts = error.details();
        assert_eq!(
            (facts.correlation_id.as_deref(), facts.attempts),
            (Some("c"), Some(1))
        );
    }
    assert_eq!((desk.net.count(), desk.call().token().await.as_str()), (1, "t"));
    assert_eq!(desk.net.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_flight_goes_on_without_its_waiters_and_its_token_is_kept() {
    let desk = Desk::playing(|_, _| FakeOutcome::from(FakeResponse::token("t", DAY)).after(seconds(1)));
    let waiter = desk.call().waiter();
    settle().await;
    drop(waiter);
    sleep(seconds(2)).await;
    assert_eq!((text(&desk.call().served()).as_str(), desk.net.count()), ("t", 1));
}

/// A caller who leaves when the request has been sent.
async fn leave_once_sent(call: Call) {
    let waiter = call.waiter();
    settle().await;
    drop(waiter);
}

/// The callers that a flight may be started by; the last two need a cached token.
const STARTERS: [&str; 5] = ["empty", "forced", "claims", "refresh", "claims with a hash"];

/// A desk where a flight of this sort is under way, for five seconds, without a caller who waits for it.
async fn under_way(starter: &str) -> (Desk, Call) {
    let desk = Desk::granting(HOUR);
    let call = desk.call();
    let call = if starter == "claims with a hash" {
        call.env(SERVICE_FABRIC)
    } else {
        call
    };
    if STARTERS[3..].contains(&starter) {
        call.clone().token().await;
    }
    desk.net.set_script(|nth, _| {
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), HOUR)).after(seconds(5))
    });
    let wish = match starter {
        "forced" => CachePolicy::ForceRefresh,
        "claims" | "claims with a hash" => CachePolicy::ReplaceRefused,
        _ => CachePolicy::UseCache,
    };
    if starter == "refresh" {
        advance(seconds(HOUR - 299)).await;
    }
    leave_once_sent(call.clone().wish(wish)).await;
    (desk, call)
}

#[tokio::test(start_paused = true)]
async fn who_joins_which_flight() {
    for (starter, wish, joins) in [
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
        let (desk, call) = under_way(starter).await;
        let before = desk.net.count();
        leave_once_sent(call.wish(wish)).await;
        assert_eq!(desk.net.count() == before, joins, "{starter} {wish:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_join_only_a_flight_with_their_own_hash() {
    let desk = Desk::granting(HOUR);
    let call = desk.call().env(SERVICE_FABRIC);
    call.clone().token().await;
    desk.net.set_script(|nth, _| {
        let wait = if nth == 2 { 1 } else { 10 };
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), HOUR)).after(seconds(wait))
    });
    // A flight against t0, which takes long; meanwhile t0 is replaced by t2.
    leave_once_sent(call.clone().wish(CachePolicy::ReplaceRefused)).await;
    assert_eq!(call.clone().wish(CachePolicy::ForceRefresh).token().await, "t2");
    leave_once_sent(call.clone().wish(CachePolicy::ReplaceRefused)).await;
    leave_once_sent(call.wish(CachePolicy::ReplaceRefused)).await;
    let urls: Vec<_> = desk
        .net
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
async fn an_older_flights_token_does_not_replace_a_newer_ones() {
    let desk = Desk::granting(HOUR);
    desk.call().token().await;
    advance(seconds(HOUR - 299)).await;
    desk.net.set_script(|nth, _| match nth {
        1 => FakeOutcome::from(FakeResponse::token("older", HOUR)).after(seconds(1)),
        _ => FakeResponse::token("newer", HOUR).into(),
    });
    let refreshed = tokio::spawn(desk.call().waiter().wait());
    settle().await;
    assert_eq!(desk.call().wish(CachePolicy::ForceRefresh).token().await, "newer");
    let older = refreshed.await.expect("no panic").expect("a token");
    assert_eq!((text(&older).as_str(), older.fresh_until), ("older", None));
    assert_eq!(text(&desk.call().served()), "newer");
}

#[tokio::test(start_paused = true)]
async fn a_cleared_cache_stays_clear_of_what_was_under_way() {
    let desk = Desk::playing(|nth, _| {
        let wait = if nth == 0 { 5 } else { 10 };
        FakeOutcome::from(FakeResponse::token(&format!("t{nth}"), DAY)).after(seconds(wait))
    });
    let first = tokio::spawn(desk.call().waiter().wait());
    settle().await;
    desk.engine.clear();
    let later = tokio::spawn(desk.call().waiter().wait());
    settle().await;
    assert_eq!(desk.net.count(), 2, "a later caller starts anew");
    let answered = first.await.expect("no panic").expect("a token");
    assert_eq!((text(&answered).as_str(), answered.fresh_until), ("t0", None));
    // Its end does not take the later flight away.
    leave_once_sent(desk.call()).await;
    assert_eq!(desk.net.count(), 2);
    assert_eq!(text(&later.await.expect("no panic").expect("a token")), "t1");
    assert_eq!(text(&desk.call().served()), "t1");
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_failed_before_a_clear_does_not_put_off_what_came_after() {
    let desk = Desk::granting(DAY);
    desk.call().token().await;
    advance(seconds(DAY / 2 + 300)).await;
    desk.net.set_script(|nth, _| match nth {
        1 => FakeOutcome::from(FakeResponse::new(400, "")).after(seconds(5)),
        _ => FakeResponse::token(&format!("t{nth}"), DAY).into(),
    });
    desk.call().served();
    settle().await;
    desk.engine.clear();
    assert_eq!(desk.call().token().await, "t2");
    sleep(seconds(6)).await;
    desk.clock.jump(seconds(DAY / 2 + 300));
    desk.call().served();
    settle().await;
    assert_eq!(desk.net.count(), 4);
}
