//! Resolves host names. Concurrent calls for one name share a lookup.
//!
//! The system's resolver blocks a thread, for up to half a minute if its servers do not respond, and cannot be cancelled.
//! With one lookup for each connection, a name that hangs would occupy all blocking threads and delay the lookups of
//! other names and reads of files.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::locking::lock;

/// How old a lookup may be when a call joins it. Later calls start a new one, which succeeds at once if the network works
/// again. As each lookup ends within half a minute, this also bounds the number of lookups for one name.
const MAX_JOIN_AGE: Duration = Duration::from_secs(3);

type Addresses = io::Result<Vec<SocketAddr>>;
type Lookup = dyn Fn(String) -> Pin<Box<dyn Future<Output = Addresses> + Send>> + Send + Sync;
/// The addresses, or the kind and message of the error, because `io::Error` is not `Clone`.
type LookupResult = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// Resolves host names. Clones share their lookups.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

/// The newest lookup of a name.
#[derive(Clone)]
struct Running {
    since: Instant,
    outcome: watch::Receiver<Option<LookupResult>>,
}

impl Resolver {
    /// Creates a resolver that uses the system's resolver.
    pub(super) fn new() -> Self {
        Self::with_lookup(|name| Box::pin(async move { Ok(lookup_host((name, 0)).await?.collect()) }))
    }

    fn with_lookup(
        lookup: impl Fn(String) -> Pin<Box<dyn Future<Output = Addresses> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            lookup: Arc::new(lookup),
            running: Arc::default(),
        }
    }

    /// Returns the addresses of a name, with this port.
    pub(super) async fn resolve(&self, name: String, port: u16) -> Addresses {
        let mut outcome = self.join_or_start(name);
        let outcome = outcome.wait_for(Option::is_some).await;
        match outcome.ok().as_deref() {
            Some(Some(Ok(addresses))) => {
                let with_port = |mut address: SocketAddr| {
                    address.set_port(port);
                    address
                };
                Ok(addresses.iter().copied().map(with_port).collect())
            }
            Some(Some(Err((kind, message)))) => Err(io::Error::new(*kind, message.clone())),
            _ => Err(io::Error::other("the lookup was abandoned")),
        }
    }

    fn join_or_start(&self, name: String) -> watch::Receiver<Option<LookupResult>> {
        let mut running = self.running();
        if let Some(newest) = running.get(&name)
            && newest.since.elapsed() <= MAX_JOIN_AGE
        {
            return newest.outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let started = Running {
            since: Instant::now(),
            outcome: outcome.clone(),
        };
        running.insert(name.clone(), started);
        drop(running);
        let resolver = self.clone();
        // A task of its own, so that the lookup continues for other callers if the one that started it leaves.
        tokio::spawn(async move {
            let found = (resolver.lookup)(name.clone()).await;
            let mut running = resolver.running();
            // A newer lookup may have replaced this one.
            if running
                .get(&name)
                .is_some_and(|newest| newest.outcome.same_channel(&sender.subscribe()))
            {
                running.remove(&name);
            }
            drop(running);
            sender.send_replace(Some(found.map_err(|error| (error.kind(), error.to_string()))));
        });
        outcome
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        lock(&self.running)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{advance, sleep, timeout};

    use super::*;

    const LOOKUP_TIME: Duration = Duration::from_secs(20);

    /// Returns a resolver whose lookups take [`LOOKUP_TIME`], and the number of started lookups.
    fn slow_resolver() -> (Resolver, Arc<AtomicU32>) {
        let started = Arc::new(AtomicU32::new(0));
        let counter = started.clone();
        let resolver = Resolver::with_lookup(move |name| {
            let nth = counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                sleep(LOOKUP_TIME).await;
                if name == "unknown" {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "no such name"));
                }
                Ok(vec![SocketAddr::from((
                    [127, 0, 0, u8::try_from(nth).expect("few")],
                    0,
                ))])
            })
        });
        (resolver, started)
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_lookups_of_one_name_are_shared_and_not_cached() {
        let (resolver, started) = slow_resolver();
        let resolve = |port| resolver.resolve("a".to_owned(), port);
        let (first, second, other) =
            tokio::join!(resolve(1), resolve(2), resolver.resolve("b".to_owned(), 3));
        assert_eq!(first.expect("found"), [SocketAddr::from(([127, 0, 0, 0], 1))]);
        assert_eq!(second.expect("found"), [SocketAddr::from(([127, 0, 0, 0], 2))]);
        assert_eq!(other.expect("found"), [SocketAddr::from(([127, 0, 0, 1], 3))]);
        assert!(resolver.running().is_empty());
        assert_eq!(
            resolve(4).await.expect("found"),
            [SocketAddr::from(([127, 0, 0, 2], 4))]
        );
        assert_eq!(started.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_lookup_is_joined_until_its_maximum_age() {
        let (resolver, started) = slow_resolver();
        let resolve_within = |limit| timeout(limit, resolver.resolve("a".to_owned(), 1));
        for _ in 0..30 {
            assert!(resolve_within(MAX_JOIN_AGE / 30).await.is_err());
        }
        assert_eq!(started.load(Ordering::Relaxed), 1);
        advance(Duration::from_millis(1)).await;
        let found = resolver.resolve("a".to_owned(), 1).await.expect("found");
        assert_eq!(
            found,
            [SocketAddr::from(([127, 0, 0, 1], 1))],
            "the second lookup's"
        );
        assert_eq!(started.load(Ordering::Relaxed), 2);
        assert!(resolver.running().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn lookup_error_is_shared_by_all_callers() {
        let (resolver, _) = slow_resolver();
        let resolve = || resolver.resolve("unknown".to_owned(), 1);
        let (first, second) = tokio::join!(resolve(), resolve());
        for error in [first.expect_err("unknown"), second.expect_err("unknown")] {
            assert_eq!(
                (error.kind(), error.to_string()),
                (io::ErrorKind::NotFound, "no such name".to_owned())
            );
        }
    }
}
