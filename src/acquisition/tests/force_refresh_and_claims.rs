//! `forceRefresh`, `claims`, and the generation, which invalidates memoized tokens.

use super::*;

/// The SHA-256 of `test_token` (docs/wire-protocol.md).
const HASH: &str = "cc0af97287543b65da2c7e1476426021826cab166f1e063ed012b855ff819656";

fn always_returning(secret: &'static str) -> Harness {
    Harness::scripted(move |_, _| FakeResponse::token(secret, HOUR).into())
}

fn sent_hash(request: &crate::http::Request) -> Option<String> {
    let mut pairs = request.url.query_pairs();
    pairs
        .find(|(name, _)| name == "token_sha256_to_refresh")
        .map(|(_, hash)| hash.into_owned())
}

#[tokio::test(start_paused = true)]
async fn claims_challenge_sends_the_hash_of_the_refused_token() {
    let harness = always_returning("test_token");
    let call = harness.call().env(SERVICE_FABRIC);
    for cache_policy in [
        CachePolicy::ReplaceRefused,
        CachePolicy::UseCache,
        CachePolicy::ReplaceRefused,
        CachePolicy::ForceRefresh,
        CachePolicy::ReplaceRefused,
    ] {
        call.clone().cache_policy(cache_policy).token().await;
    }
    let hashes: Vec<_> = harness.transport.requests().iter().map(sent_hash).collect();
    let hash = Some(HASH.to_owned());
    // There is no hash without a cached token, nor for `forceRefresh`.
    assert_eq!(hashes, [None, hash.clone(), None, hash]);
}

#[tokio::test(start_paused = true)]
async fn expired_token_is_not_hashed() {
    let harness = always_returning("test_token");
    let call = harness.call().env(SERVICE_FABRIC);
    call.clone().token().await;
    advance(seconds(HOUR - 1)).await;
    call.clone()
        .cache_policy(CachePolicy::ReplaceRefused)
        .token()
        .await;
    advance(seconds(HOUR)).await;
    call.cache_policy(CachePolicy::ReplaceRefused).token().await;
    let hashes: Vec<_> = harness.transport.requests().iter().map(sent_hash).collect();
    assert_eq!(hashes, [None, Some(HASH.to_owned()), None]);
}

#[tokio::test(start_paused = true)]
async fn hash_is_sent_to_supporting_sources_only() {
    let app_service = [(v::IDENTITY_ENDPOINT, "http://h/t"), (v::IDENTITY_HEADER, "s")];
    let machine_learning = [(v::MSI_ENDPOINT, "http://h/t"), (v::MSI_SECRET, "s")];
    let arc = [
        (v::IDENTITY_ENDPOINT, "http://h/t"),
        (v::IMDS_ENDPOINT, "http://h"),
    ];
    let cloud_shell = [(v::MSI_ENDPOINT, "http://h/t")];
    for variables in [&[][..], &app_service, &machine_learning, &arc, &cloud_shell] {
        let harness = always_returning("test_token");
        let call = harness.call().env(variables);
        call.clone().token().await;
        call.cache_policy(CachePolicy::ReplaceRefused).token().await;
        assert_eq!(harness.transport.count(), 2);
        assert!(
            harness
                .transport
                .requests()
                .iter()
                .all(|request| sent_hash(request).is_none())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn new_token_replaces_the_cached_one() {
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let harness = Harness::always_granting(DAY);
        assert_eq!(harness.call().token().await, "t0");
        let acquired = harness
            .call()
            .cache_policy(cache_policy)
            .outcome()
            .await
            .expect("a token");
        assert_eq!((text(&acquired).as_str(), acquired.from_cache), ("t1", false));
        assert_eq!(text(&harness.call().acquired()), "t1");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_replacement_keeps_the_cached_token() {
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let harness = Harness::always_granting(DAY);
        harness.call().token().await;
        harness
            .transport
            .set_script(|_, _| FakeResponse::new(400, "").into());
        assert_eq!(
            *harness.call().cache_policy(cache_policy).error().await.code(),
            Code::FailedResponse
        );
        assert_eq!(text(&harness.call().acquired()), "t0");
        assert_eq!(harness.client.generation(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_not_served_again_when_replacement_is_uncacheable() {
    for cache_policy in [CachePolicy::ForceRefresh, CachePolicy::ReplaceRefused] {
        let harness = Harness::always_granting(DAY);
        harness.call().token().await;
        harness
            .transport
            .set_script(|_, _| FakeResponse::new(200, r#"{"access_token":"once"}"#).into());
        let generation = harness.client.generation();
        assert_eq!(harness.call().cache_policy(cache_policy).token().await, "once");
        assert_ne!(harness.client.generation(), generation);
        assert_eq!(
            harness
                .call()
                .waiter()
                .wait()
                .await
                .map(|acquired| text(&acquired))
                .expect("a token"),
            "once"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn generation_rises_when_a_memoized_token_may_be_outdated() {
    let harness = Harness::always_granting(DAY);
    let first = harness.call().outcome().await.expect("a token");
    assert_eq!((first.generation, harness.client.generation()), (0, 0));
    harness
        .for_resource("https://other.example")
        .cache_policy(CachePolicy::ForceRefresh)
        .token()
        .await;
    assert_eq!(harness.client.generation(), 0, "nothing was replaced");

    let forced = harness
        .call()
        .cache_policy(CachePolicy::ForceRefresh)
        .outcome()
        .await
        .expect("a token");
    assert_eq!((forced.generation, harness.client.generation()), (1, 1));
    let other = harness
        .call()
        .cache_policy(CachePolicy::ReplaceRefused)
        .outcome()
        .await
        .expect("a token");
    assert_eq!((other.generation, harness.client.generation()), (2, 2));
    assert_eq!(harness.call().acquired().generation, 2);

    advance(seconds(DAY / 2 + 300)).await;
    harness.call().acquired();
    settle().await;
    assert_eq!(
        (harness.transport.count(), harness.client.generation()),
        (5, 2),
        "a background refresh"
    );

    harness.client.clear();
    assert_eq!(harness.client.generation(), 3);
    let after = harness.call().outcome().await.expect("a token");
    assert_eq!((after.generation, harness.client.generation()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn older_refresh_does_not_restore_a_replaced_token() {
    let harness = Harness::always_granting(DAY);
    assert_eq!(harness.call().token().await, "t0");
    advance(seconds(DAY / 2 + 300)).await;
    // A slow background refresh, then a forced token that cannot be cached.
    harness.transport.set_script(|nth, _| match nth {
        1 => FakeOutcome::from(FakeResponse::token("late", DAY)).after(seconds(5)),
        2 => FakeResponse::new(200, r#"{"access_token":"once"}"#).into(),
        _ => FakeResponse::token("anew", DAY).into(),
    });
    assert_eq!(text(&harness.call().acquired()), "t0");
    settle().await;
    assert_eq!(
        harness
            .call()
            .cache_policy(CachePolicy::ForceRefresh)
            .token()
            .await,
        "once"
    );
    sleep(seconds(10)).await;
    assert_eq!(harness.call().token().await, "anew");
    assert_eq!(harness.transport.count(), 4);
}

/// Creates a harness whose first response, `t0`, takes five seconds; every other one takes a second. With
/// `is_second_uncacheable` the second response has no expiry.
fn slow_at_first(is_second_uncacheable: bool) -> Harness {
    Harness::scripted(move |nth, _| {
        let response = match nth {
            1 if is_second_uncacheable => FakeResponse::new(200, r#"{"access_token":"t1"}"#),
            _ => FakeResponse::token(&format!("t{nth}"), DAY),
        };
        FakeOutcome::from(response).after(seconds(if nth == 0 { 5 } else { 1 }))
    })
}

#[tokio::test(start_paused = true)]
async fn force_refresh_does_not_join_request_older_than_cached_token() {
    let harness = slow_at_first(false);
    let slow = tokio::spawn(
        harness
            .call()
            .cache_policy(CachePolicy::ReplaceRefused)
            .waiter()
            .wait(),
    );
    settle().await;
    for (cache_policy, expected) in [
        (CachePolicy::ForceRefresh, "t1"),
        (CachePolicy::ReplaceRefused, "t2"),
        (CachePolicy::ForceRefresh, "t3"),
    ] {
        assert_eq!(harness.call().cache_policy(cache_policy).token().await, expected);
        assert_eq!(text(&harness.call().acquired()), expected);
    }
    assert_eq!(text(&slow.await.expect("no panic").expect("a token")), "t0");
    assert_eq!(text(&harness.call().acquired()), "t3");
}

#[tokio::test(start_paused = true)]
async fn superseded_request_is_not_joined() {
    let harness = slow_at_first(true);
    let slow = tokio::spawn(
        harness
            .call()
            .cache_policy(CachePolicy::ReplaceRefused)
            .waiter()
            .wait(),
    );
    settle().await;
    assert_eq!(
        harness
            .call()
            .cache_policy(CachePolicy::ForceRefresh)
            .token()
            .await,
        "t1"
    );
    assert_eq!(harness.call().token().await, "t2");
    assert_eq!(text(&slow.await.expect("no panic").expect("a token")), "t0");
    assert_eq!(text(&harness.call().acquired()), "t2");
}
