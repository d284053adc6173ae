//! The connection pool of each endpoint, and the rule for reusing a connection.
//!
//! HTTP/1.1 does not mark which request a response belongs to, so a stray response, such as one that is sent twice, looks
//! like the next one. A connection is therefore reused only after it has been silent for a while: by then a stray
//! response has arrived, and any byte that has arrived closes the connection. See "A response belongs to one request" in
//! SECURITY.md.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::locking::lock;

/// How long a connection must have been silent since its last response before it is reused. Where responses are not
/// acknowledged at once (see `connector`), a server can delay a stray one by 200 ms.
pub(super) const SILENCE_BEFORE_REUSE: Duration =
    Duration::from_millis(if IS_ACKNOWLEDGED_AT_ONCE { 25 } else { 250 });
const IS_ACKNOWLEDGED_AT_ONCE: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// A stray response of a slow server is late, too: the silence lasts at least this many times as long as the exchange.
const SILENCE_PER_EXCHANGE_TIME: u32 = 4;
/// The longest silence: half of the time after which an idle connection is closed, so that each can be reused.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// How long a connection may be idle before it is closed. Shorter than the 5 s of a Node.js server, so that a request is
/// rarely sent on a connection that the server is closing.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The most connections to one endpoint, idle ones included.
const MAX_CONNECTIONS: usize = 32;

/// The idle connections of every endpoint.
pub(super) struct ConnectionPool<K, C> {
    endpoints: Mutex<HashMap<K, Endpoint<C>>>,
}

struct Endpoint<C> {
    /// The most recently used connection is last.
    idle: VecDeque<Idle<C>>,
    /// The number of exchanges that have a connection or establish one.
    in_use: usize,
    /// Whether a task that closes expired connections is running.
    is_swept: bool,
}

struct Idle<C> {
    connection: C,
    since: Instant,
    /// How long the connection must be silent before it is reused.
    silence: Duration,
}

impl<C> Default for Endpoint<C> {
    fn default() -> Self {
        Self {
            idle: VecDeque::new(),
            in_use: 0,
            is_swept: false,
        }
    }
}

/// The use of one of an endpoint's connections. Dropping it lowers the count.
pub(super) struct Slot<K: Clone + Eq + Hash, C> {
    pool: Arc<ConnectionPool<K, C>>,
    key: K,
    started_at: Instant,
}

impl<K, C> ConnectionPool<K, C>
where
    K: Clone + Eq + Hash + Send + 'static,
    C: Send + 'static,
{
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            endpoints: Mutex::default(),
        })
    }

    /// Counts an exchange as one connection of an endpoint.
    pub(super) fn begin(self: &Arc<Self>, key: K) -> Slot<K, C> {
        let mut endpoints = self.lock();
        if let Some(endpoint) = endpoints.get_mut(&key) {
            endpoint.in_use += 1;
        } else {
            endpoints.entry(key.clone()).or_default().in_use += 1;
        }
        drop(endpoints);
        Slot {
            pool: self.clone(),
            key,
            started_at: Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Endpoint<C>>> {
        lock(&self.endpoints)
    }

    /// Closes idle connections when they expire; ends when none is left.
    async fn sweep(pool: Weak<Self>, key: K) {
        loop {
            let Some(next) = pool.upgrade().and_then(|pool| pool.close_expired(&key)) else {
                return;
            };
            sleep_until(next).await;
        }
    }

    /// Closes expired connections. Returns when the next one expires.
    fn close_expired(&self, key: &K) -> Option<Instant> {
        let mut endpoints = self.lock();
        let endpoint = endpoints.get_mut(key)?;
        let expired = endpoint.take_expired();
        let next = endpoint.idle.front().map(|idle| idle.since + IDLE_TIMEOUT);
        if next.is_none() {
            endpoint.is_swept = false;
            if endpoint.in_use == 0 {
                endpoints.remove(key);
            }
        }
        drop(endpoints);
        drop(expired);
        next
    }
}

impl<C> Endpoint<C> {
    fn take_expired(&mut self) -> Vec<Idle<C>> {
        let expired = self
            .idle
            .iter()
            .take_while(|idle| idle.since.elapsed() >= IDLE_TIMEOUT)
            .count();
        self.idle.drain(..expired).collect()
    }
}

impl<K, C> Slot<K, C>
where
    K: Clone + Eq + Hash + Send + 'static,
    C: Send + 'static,
{
    /// Takes the most recently used connection of those that have been silent for long enough.
    pub(super) fn take_idle(&self) -> Option<C> {
        let mut endpoints = self.pool.lock();
        let endpoint = endpoints.get_mut(&self.key)?;
        let expired = endpoint.take_expired();
        let ready = endpoint
            .idle
            .iter()
            .rposition(|idle| idle.since.elapsed() >= idle.silence);
        let taken = ready.and_then(|index| endpoint.idle.remove(index));
        drop(endpoints);
        drop(expired);
        taken.map(|idle| idle.connection)
    }

    /// Takes the least recently used connection if a new one would exceed [`MAX_CONNECTIONS`]. The caller closes it first.
    pub(super) fn evict_idle(&self) -> Option<C> {
        let mut endpoints = self.pool.lock();
        let endpoint = endpoints.get_mut(&self.key)?;
        let is_full = endpoint.idle.len() + endpoint.in_use > MAX_CONNECTIONS;
        let oldest = if is_full { endpoint.idle.pop_front() } else { None };
        oldest.map(|idle| idle.connection)
    }

    /// Returns a connection to the pool.
    pub(super) fn release(self, connection: C) {
        let mut endpoints = self.pool.lock();
        let endpoint = endpoints.entry(self.key.clone()).or_default();
        endpoint.idle.push_back(Idle {
            connection,
            since: Instant::now(),
            silence: (self.started_at.elapsed() * SILENCE_PER_EXCHANGE_TIME)
                .clamp(SILENCE_BEFORE_REUSE, MAX_SILENCE),
        });
        let starts_sweep = !std::mem::replace(&mut endpoint.is_swept, true);
        drop(endpoints);
        if starts_sweep {
            tokio::spawn(ConnectionPool::sweep(
                Arc::downgrade(&self.pool),
                self.key.clone(),
            ));
        }
    }
}

impl<K: Clone + Eq + Hash, C> Drop for Slot<K, C> {
    fn drop(&mut self) {
        let mut endpoints = lock(&self.pool.endpoints);
        if let Some(endpoint) = endpoints.get_mut(&self.key) {
            endpoint.in_use -= 1;
            if endpoint.in_use == 0 && endpoint.idle.is_empty() && !endpoint.is_swept {
                endpoints.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    type Pool = Arc<ConnectionPool<&'static str, u32>>;

    fn pool() -> Pool {
        ConnectionPool::new()
    }

    fn put(pool: &Pool, key: &'static str, connection: u32) {
        pool.begin(key).release(connection);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_is_reused_only_after_a_silent_interval() {
        let pool = pool();
        put(&pool, "a", 1);
        let slot = pool.begin("a");
        assert_eq!(slot.take_idle(), None);
        advance(SILENCE_BEFORE_REUSE.mul_f64(0.96)).await;
        assert_eq!(slot.take_idle(), None);
        put(&pool, "a", 2);
        advance(SILENCE_BEFORE_REUSE.mul_f64(0.04)).await;
        assert_eq!(pool.begin("b").take_idle(), None, "another endpoint");
        assert_eq!(slot.take_idle(), Some(1), "the second is not silent yet");
        assert_eq!(slot.take_idle(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_grows_with_the_time_of_the_exchange() {
        for (exchange, silence) in [(5, 25), (50, 200), (60_000, 2_000)].map(millis) {
            let pool = pool();
            let slot = pool.begin("a");
            advance(exchange).await;
            slot.release(1);
            let slot = pool.begin("a");
            advance(silence.saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(slot.take_idle(), None, "{exchange:?}");
            advance(Duration::from_millis(1)).await;
            assert_eq!(slot.take_idle(), Some(1), "{exchange:?}");
        }
    }

    fn millis((exchange, silence): (u64, u64)) -> (Duration, Duration) {
        let silence = Duration::from_millis(silence).max(SILENCE_BEFORE_REUSE);
        (Duration::from_millis(exchange), silence)
    }

    #[tokio::test(start_paused = true)]
    async fn most_recently_used_connection_is_reused_first() {
        let pool = pool();
        for connection in 1..=3 {
            put(&pool, "a", connection);
            advance(SILENCE_BEFORE_REUSE).await;
        }
        assert_eq!(pool.begin("a").take_idle(), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_are_evicted_for_requests() {
        let pool = pool();
        let total = u32::try_from(MAX_CONNECTIONS).expect("a small number");
        for connection in 0..total {
            put(&pool, "a", connection);
        }
        let first = pool.begin("a");
        assert_eq!((first.evict_idle(), first.evict_idle()), (Some(0), None));
        let second = pool.begin("a");
        assert_eq!((second.evict_idle(), second.evict_idle()), (Some(1), None));
        drop((first, second));
        assert_eq!(pool.lock()["a"].in_use, 0);
        assert_eq!(pool.begin("a").evict_idle(), None, "two connections fewer");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_are_closed_after_the_timeout() {
        let pool = pool();
        put(&pool, "a", 1);
        tokio::task::yield_now().await;
        advance(IDLE_TIMEOUT / 2).await;
        put(&pool, "a", 2);
        for left in [2, 1, 0] {
            let idle = pool.lock().get("a").map_or(0, |endpoint| endpoint.idle.len());
            assert_eq!(idle, left);
            tokio::time::sleep(IDLE_TIMEOUT / 2).await;
            tokio::task::yield_now().await;
        }
        assert!(pool.lock().is_empty());
    }
}
