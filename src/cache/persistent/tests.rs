//! Records: a valid record returns the token unchanged; any other record is ignored.

use std::sync::Arc;

use super::*;
use crate::source::{self, TokenQuery};
use crate::test_support::{FakeClock, FakeEntry, FakeFiles, START, environment, options, platform, resource};

const HOUR: std::time::Duration = std::time::Duration::from_hours(1);

/// A store that is always empty.
struct EmptyStore;

impl RecordStore for EmptyStore {
    fn id(&self) -> &'static str {
        "empty"
    }

    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { Ok(true) })
    }

    fn lock<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<LockGuard>> {
        Box::pin(async { None })
    }

    fn load<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Zeroizing<String>>> {
        Box::pin(async { None })
    }

    fn save<'a>(&'a self, _: &'a str, _: Zeroizing<String>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// Returns the record id of a resource's token on a host with this name and machine id.
fn record_id(text: &str, hostname: &str, machine_id: Option<&str>) -> RecordId {
    let files = Arc::new(FakeFiles::default());
    if let Some(id) = machine_id {
        files.put("/etc/machine-id", FakeEntry::File(id.into()));
    }
    let platform = platform(&FakeClock::new(), &files);
    let options = options(|_| {});
    let source = source::create(&environment(&[]), &options, &platform).expect("a source");
    let query = TokenQuery {
        resource: resource(text),
        identity: options.identity,
        capabilities: None,
        claims: None,
        refused_token_hash: None,
        correlation_id: String::new(),
    };
    let persistent_cache = PersistentCache {
        store: Arc::new(EmptyStore),
        hostname: hostname.into(),
    };
    RecordId::new(&CacheKey::new(&*source, &query), &persistent_cache, &platform)
}

fn token(lifetime: std::time::Duration) -> Token {
    Token::new(
        Secret::new("a-token".into()),
        START,
        START.saturating_add(lifetime),
    )
}

#[tokio::test]
async fn record_round_trip_preserves_the_token() {
    let id = record_id("https://a", "host", Some("m-1\n"));
    for lifetime in [HOUR, HOUR * 24] {
        let saved = token(lifetime);
        let record = id.encode(&saved, START);
        let (token, saved_at) = id.decode(&record, None, START).expect("a valid record");
        assert_eq!(saved_at, START);
        assert_eq!(token.secret.expose_secret(), "a-token");
        assert_eq!(
            (token.expires_on, token.refresh_on),
            (saved.expires_on, saved.refresh_on)
        );
    }
}

#[tokio::test]
async fn record_lifetime_is_capped() {
    let id = record_id("https://a", "host", Some("m-1\n"));
    let record = id.encode(&token(HOUR * 24 * 3_650), START);
    let (token, _) = id.decode(&record, None, START).expect("a valid record");
    assert_eq!(token.expires_on, START.saturating_add(HOUR * 48));
}

#[tokio::test]
async fn record_is_bound_to_key_host_and_machine() {
    let id = record_id("https://a", "host", Some("m-1"));
    let record = id.encode(&token(HOUR), START);
    for other in [
        record_id("https://b", "host", Some("m-1")),
        record_id("https://a", "other", Some("m-1")),
        record_id("https://a", "host", Some("m-2")),
        record_id("https://a", "host", None),
    ] {
        assert_ne!(other.entry, id.entry);
        assert!(other.decode(&record, None, START).is_none());
    }
    let same = record_id("https://a", "host", Some("m-1"));
    assert_eq!(same.entry, id.entry);
    assert!(same.decode(&record, None, START).is_some());
}

#[tokio::test]
async fn truncated_modified_or_outdated_record_is_ignored() {
    let id = record_id("https://a", "host", None);
    let record = id.encode(&token(HOUR), START);
    for end in 0..record.len() {
        assert!(id.decode(&record[..end], None, START).is_none(), "{end} bytes");
    }
    let later = START.saturating_add(HOUR);
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("a-token", "b-token"),
        (
            &*START.saturating_add(HOUR).millis().to_string(),
            &*START.saturating_add(HOUR * 2).millis().to_string(),
        ),
        ("\"refresh_on_ms\":null", "\"refresh_on_ms\":5"),
        (&*START.millis().to_string(), &*later.millis().to_string()),
    ] {
        let changed = record.replace(from, to);
        assert_ne!(changed, *record, "{from}");
        assert!(id.decode(&changed, None, later).is_none(), "{from}");
    }
    let before = START.saturating_sub(std::time::Duration::from_millis(1));
    assert!(id.decode(&record, None, before).is_none(), "saved in the future");
    assert!(
        id.decode(&record, Some(START), START).is_none(),
        "the cache was cleared since"
    );
    assert!(id.decode(&record, Some(before), START).is_some());
}
