//! The memory cache: lookups by freshness, refresh delays, replacement and removal.

mod properties;

use std::sync::Arc;

use tokio::time::advance;

use super::*;
use crate::source;
use crate::test_support::{self, FakeClock, FakeFiles, START, environment, options, resource};
use crate::token::Secret;

const JITTER: Duration = Duration::from_mins(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(text: &str) -> CacheKey {
    let options = options(|_| {});
    let platform = test_support::platform(&FakeClock::new(), &Arc::new(FakeFiles::default()));
    let source = source::create(&environment(&[]), &options, &platform).expect("a source");
    let query = TokenQuery {
        resource: resource(text),
        identity: options.identity,
        capabilities: None,
        claims: None,
        refused_token_hash: None,
        correlation_id: String::new(),
    };
    CacheKey::new(&*source, &query)
}

fn token(secret: &str, lifetime: Duration) -> Arc<Token> {
    Arc::new(Token::new(
        Secret::new(secret.into()),
        START,
        START.saturating_add(lifetime),
    ))
}

fn cache_with_token(lifetime: Duration) -> (Cache, CacheKey) {
    let (mut cache, key) = (Cache::default(), key("https://a"));
    cache.insert(key.clone(), token("t", lifetime), Some(1), JITTER, START);
    (cache, key)
}

fn cached_secret(cache: &mut Cache, key: &CacheKey) -> Option<String> {
    let found = cache.lookup(key, START);
    found.token().map(|token| token.secret.expose_secret().to_owned())
}

/// Returns a lookup's result as one letter: **S**erve, **R**efresh in the background, re**F**resh first, or none.
fn lookup_letter(found: &Lookup) -> char {
    match found {
        Lookup::Miss { .. } => '-',
        Lookup::Fresh(_) => 'S',
        Lookup::StaleWhileRevalidate(_) => 'R',
        Lookup::NearExpiry(_) => 'F',
    }
}

#[tokio::test(start_paused = true)]
async fn lookup_follows_the_freshness() {
    let day = Duration::from_hours(24);
    let (half, millisecond) = (day / 2, Duration::from_millis(1));
    for (age, expected) in [
        (Duration::ZERO, 'S'),
        ((half + JITTER).saturating_sub(millisecond), 'S'),
        (half + JITTER, 'R'),
        (day.saturating_sub(seconds(300)), 'R'),
        (day.saturating_sub(seconds(299)), 'F'),
        (day.saturating_sub(millisecond), 'F'),
        (day, '-'),
        (day * 2, '-'),
    ] {
        let (mut cache, key) = cache_with_token(day);
        advance(INITIAL_BACKOFF).await;
        assert_eq!(
            lookup_letter(&cache.lookup(&key, START.saturating_add(age))),
            expected,
            "{age:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn expired_token_is_removed() {
    let (mut cache, key) = cache_with_token(seconds(3_600));
    assert_eq!(
        lookup_letter(&cache.lookup(&key, START.saturating_add(seconds(3_600)))),
        '-'
    );
    // The token does not come back if the clock is set back.
    assert_eq!(lookup_letter(&cache.lookup(&key, START)), '-');
    assert!(cache.entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn refresh_failures_increase_the_backoff() {
    let (mut cache, key) = cache_with_token(Duration::from_hours(24));
    let stale = START.saturating_add(Duration::from_hours(13));
    for pause in [30, 60, 120, 240, 300, 300, 300] {
        assert_eq!(lookup_letter(&cache.lookup(&key, stale)), 'R');
        cache.record_refresh_failure(&key, stale);
        advance(seconds(pause - 1)).await;
        assert_eq!(lookup_letter(&cache.lookup(&key, stale)), 'S', "{pause}");
        advance(seconds(1)).await;
    }
    cache.record_refresh_failure(&key, stale);
    cache.insert(
        key.clone(),
        token("u", Duration::from_hours(24)),
        Some(2),
        JITTER,
        START,
    );
    assert_eq!(
        lookup_letter(&cache.lookup(&key, stale)),
        'R',
        "a new token has no failures"
    );
}

#[tokio::test(start_paused = true)]
async fn near_expiry_token_blocks_once_in_30s() {
    let (mut cache, key) = cache_with_token(seconds(240));
    for attempt in 0..3 {
        assert_eq!(lookup_letter(&cache.lookup(&key, START)), 'S', "{attempt}");
        advance(seconds(29)).await;
        assert_eq!(lookup_letter(&cache.lookup(&key, START)), 'S', "{attempt}");
        advance(seconds(1)).await;
        assert_eq!(lookup_letter(&cache.lookup(&key, START)), 'F', "{attempt}");
        cache.record_refresh_failure(&key, START);
    }
    let Lookup::Fresh(stored) = cache.lookup(&key, START) else {
        panic!("a token is served");
    };
    assert!(stored.fresh_until <= START, "it must not be memoized");
}

#[tokio::test(start_paused = true)]
async fn token_of_older_request_does_not_replace_a_newer_one() {
    let (mut cache, key) = (Cache::default(), key("https://a"));
    let mut store = |secret, sequence| {
        let hour = Duration::from_hours(1);
        let stored = cache.insert(key.clone(), token(secret, hour), Some(sequence), JITTER, START);
        (stored, cached_secret(&mut cache, &key).expect("a token"))
    };
    assert_eq!(store("two", 2), (Some(false), "two".into()));
    assert_eq!(store("one", 1), (None, "two".into()));
    assert_eq!(store("three", 3), (Some(true), "three".into()));
}

#[tokio::test(start_paused = true)]
async fn failure_for_a_removed_token_is_ignored() {
    let (mut cache, key) = (Cache::default(), key("https://a"));
    cache.record_refresh_failure(&key, START);
    assert!(cache.entries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn expired_unused_tokens_are_swept() {
    let mut cache = Cache::default();
    for nth in 0..1_000_u64 {
        let key = key(&format!("https://a/{nth}"));
        // Each token expires when the next one is stored.
        let now = START.saturating_add(seconds(nth * 100));
        let token = Token::new(Secret::new("t".into()), now, now.saturating_add(seconds(100)));
        cache.insert(key, Arc::new(token), Some(nth), JITTER, now);
        assert!(
            cache.entries.len() <= INITIAL_SWEEP_THRESHOLD,
            "{nth}: {}",
            cache.entries.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn valid_tokens_are_never_swept_out() {
    let mut cache = Cache::default();
    let keys: Vec<_> = (0..1_000).map(|nth| key(&format!("https://a/{nth}"))).collect();
    for (nth, key) in (0..).zip(&keys) {
        cache.insert(
            key.clone(),
            token("t", Duration::from_hours(1)),
            Some(nth),
            JITTER,
            START,
        );
    }
    assert!(keys.iter().all(|key| cached_secret(&mut cache, key).is_some()));
    cache.clear();
    assert!(keys.iter().all(|key| cached_secret(&mut cache, key).is_none()));
}
