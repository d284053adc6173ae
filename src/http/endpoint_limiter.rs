//! Limits that all requests of this process to one endpoint share: on concurrent requests, on background refreshes, on
//! exchanges that no caller waits for, and the block that follows a 429 with `Retry-After`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tokio::time::Instant;

use super::Url;
use crate::locking::lock;
use crate::platform::Clock;
use crate::token::Timestamp;

/// Concurrent requests to one endpoint.
const MAX_CONCURRENT_REQUESTS: usize = 32;
/// Of these, reserved for probes: an endpoint can be probed however many acquisitions are in progress.
const RESERVED_PROBES: usize = 1;
/// Background refreshes at one time: IMDS throttles more than five concurrent requests.
const MAX_BACKGROUND_REFRESHES: usize = 5;
/// Exchanges with one endpoint that continue although no caller waits for them.
const MAX_UNATTENDED: usize = 32;
/// The longest block, whatever `Retry-After` says.
const MAX_RETRY_AFTER_BLOCK: Duration = Duration::from_mins(1);

/// The limiters of all endpoints, by host and port.
pub struct EndpointLimiters {
    by_origin: Mutex<HashMap<String, Arc<EndpointLimiter>>>,
    clock: Arc<dyn Clock>,
}

impl EndpointLimiters {
    /// Creates an empty map. A block ends by Tokio's clock or by this one, whichever is earlier.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            by_origin: Mutex::default(),
            clock,
        }
    }

    /// Returns the limiter of this URL's host and port.
    pub fn limiter(&self, url: &Url) -> Arc<EndpointLimiter> {
        let origin = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or(0)
        );
        let limiter = || Arc::new(EndpointLimiter::new(self.clock.clone()));
        lock(&self.by_origin)
            .entry(origin)
            .or_insert_with(limiter)
            .clone()
    }
}

/// The limits of one endpoint.
pub struct EndpointLimiter {
    requests: Semaphore,
    probes: Semaphore,
    refreshes: Arc<Semaphore>,
    unattended: Mutex<UnattendedExchanges>,
    blocked_until: Mutex<Option<(Instant, Timestamp)>>,
    clock: Arc<dyn Clock>,
}

impl EndpointLimiter {
    /// Creates a limiter with all permits available and without a block.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            requests: Semaphore::new(MAX_CONCURRENT_REQUESTS - RESERVED_PROBES),
            probes: Semaphore::new(RESERVED_PROBES),
            refreshes: Arc::new(Semaphore::new(MAX_BACKGROUND_REFRESHES)),
            unattended: Mutex::default(),
            blocked_until: Mutex::default(),
            clock,
        }
    }

    /// Waits for the permit of one exchange. `None` stands for a closed semaphore, and this one is never closed.
    pub async fn acquire_request_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.requests.acquire().await.ok()
    }

    /// Waits for the permit of one probe: a request's or a reserved one, whichever is available first.
    pub async fn acquire_probe_permit(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            permit = self.requests.acquire() => permit.ok(),
            permit = self.probes.acquire() => permit.ok(),
        }
    }

    /// Returns the permit of one background refresh, if one is available now.
    pub fn try_acquire_refresh_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.refreshes.clone().try_acquire_owned().ok()
    }

    /// Registers an exchange that continues without a permit although no caller waits for it. Beyond
    /// `MAX_UNATTENDED` the oldest one is evicted.
    pub fn register_unattended(&self) -> UnattendedExchange<'_> {
        let (evict, evicted) = oneshot::channel();
        let number = lock(&self.unattended).add(evict);
        UnattendedExchange {
            limiter: self,
            number,
            evicted,
        }
    }

    /// Blocks the endpoint for the time in a 429's `Retry-After`, but at most for `MAX_RETRY_AFTER_BLOCK`. Never
    /// shortens an earlier block.
    pub fn block_for(&self, retry_after: Duration) {
        let block = retry_after.min(MAX_RETRY_AFTER_BLOCK);
        if self.blocked_for().is_none_or(|remaining| remaining < block) {
            *lock(&self.blocked_until) =
                Some((Instant::now() + block, self.clock.now().saturating_add(block)));
        }
    }

    /// Returns for how long the endpoint remains blocked: until the first of the two clocks has reached the end of the
    /// block, because the monotonic clock can stop while the machine is suspended and the wall clock can be set back.
    pub fn blocked_for(&self) -> Option<Duration> {
        let (until, until_wall) = (*lock(&self.blocked_until))?;
        let remaining = until.saturating_duration_since(Instant::now());
        let remaining_wall = until_wall.saturating_duration_since(self.clock.now());
        Some(remaining.min(remaining_wall)).filter(|remaining| !remaining.is_zero())
    }
}

/// The registered exchanges of one endpoint, in the order in which their last callers left.
#[derive(Default)]
struct UnattendedExchanges {
    last_number: u64,
    exchanges: Vec<Entry>,
}

struct Entry {
    number: u64,
    /// Whether callers wait for the exchange again.
    is_attended: bool,
    evict: oneshot::Sender<()>,
}

impl UnattendedExchanges {
    fn add(&mut self, evict: oneshot::Sender<()>) -> u64 {
        self.last_number += 1;
        self.push(Entry {
            number: self.last_number,
            is_attended: false,
            evict,
        });
        self.last_number
    }

    /// Appends an entry. Beyond the limit, evicts the oldest exchange that no caller waits for.
    fn push(&mut self, entry: Entry) {
        self.exchanges.push(entry);
        let oldest = self.exchanges.iter().position(|entry| !entry.is_attended);
        if self.exchanges.len() > MAX_UNATTENDED
            && let Some(oldest) = oldest
        {
            // A send without a receiver fails: that exchange has ended by itself.
            let _ = self.exchanges.remove(oldest).evict.send(());
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let index = self.exchanges.iter().position(|entry| entry.number == number)?;
        Some(self.exchanges.remove(index))
    }
}

/// The registration of an exchange that continues without a permit.
pub struct UnattendedExchange<'a> {
    limiter: &'a EndpointLimiter,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl UnattendedExchange<'_> {
    /// Records whether callers wait for the exchange again.
    pub fn set_attended(&self, is_attended: bool) {
        let mut exchanges = lock(&self.limiter.unattended);
        if let Some(entry) = exchanges.remove(self.number) {
            exchanges.push(Entry { is_attended, ..entry });
        }
    }

    /// Waits until the exchange is evicted in favour of later ones.
    pub async fn evicted(&mut self) {
        // An error cannot occur: while this exchange exists, only an eviction drops the sender.
        let _ = (&mut self.evicted).await;
    }
}

impl Drop for UnattendedExchange<'_> {
    fn drop(&mut self) {
        lock(&self.limiter.unattended).remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::FakeClock;

    #[tokio::test(start_paused = true)]
    async fn block_is_the_longest_retry_after_up_to_1min() {
        let limiter = EndpointLimiter::new(FakeClock::new());
        assert_eq!(limiter.blocked_for(), None);
        limiter.block_for(Duration::from_secs(20));
        limiter.block_for(Duration::from_secs(10));
        assert_eq!(limiter.blocked_for(), Some(Duration::from_secs(20)));
        limiter.block_for(Duration::from_hours(1));
        assert_eq!(limiter.blocked_for(), Some(MAX_RETRY_AFTER_BLOCK));
        tokio::time::advance(MAX_RETRY_AFTER_BLOCK).await;
        assert_eq!(limiter.blocked_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn block_ends_by_whichever_clock_advances() {
        let clock = FakeClock::new();
        let limiter = EndpointLimiter::new(clock.clone());
        limiter.block_for(Duration::from_secs(50));
        clock.jump(Duration::from_secs(20));
        assert_eq!(limiter.blocked_for(), Some(Duration::from_secs(30)));
        clock.jump(Duration::from_hours(10));
        assert_eq!(limiter.blocked_for(), None);
        // A block that has ended by one clock does not lengthen the next one.
        limiter.block_for(Duration::from_secs(10));
        assert_eq!(limiter.blocked_for(), Some(Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn block_ends_by_monotonic_clock_if_wall_clock_is_set_back() {
        let clock = FakeClock::new();
        let limiter = EndpointLimiter::new(clock.clone());
        clock.jump(Duration::from_hours(1));
        limiter.block_for(Duration::from_secs(50));
        clock.set_back(Duration::from_hours(1));
        assert_eq!(limiter.blocked_for(), Some(Duration::from_secs(50)));
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(limiter.blocked_for(), None);
    }

    fn is_evicted(exchange: &mut UnattendedExchange<'_>) -> bool {
        exchange.evicted.try_recv().is_ok()
    }

    #[tokio::test]
    async fn oldest_unattended_exchange_is_evicted_beyond_the_limit() {
        let limiter = EndpointLimiter::new(FakeClock::new());
        let mut exchanges: Vec<_> = (0..MAX_UNATTENDED)
            .map(|_| limiter.register_unattended())
            .collect();
        assert!(!exchanges.iter_mut().any(is_evicted));
        // An attended exchange is not evicted; one that becomes unattended again counts as the newest.
        exchanges[0].set_attended(true);
        exchanges[1].set_attended(true);
        exchanges[1].set_attended(false);
        exchanges.push(limiter.register_unattended());
        let evicted: Vec<_> = exchanges.iter_mut().map(is_evicted).collect();
        assert_eq!(evicted.iter().position(|evicted| *evicted), Some(2));
        assert_eq!(evicted.iter().filter(|evicted| **evicted).count(), 1);
        // An exchange that has ended by itself does not count.
        exchanges.remove(3);
        exchanges.push(limiter.register_unattended());
        assert!(!exchanges[3..].iter_mut().any(is_evicted));
        for exchange in &exchanges {
            exchange.set_attended(true);
        }
        assert!(
            !exchanges.iter_mut().any(is_evicted),
            "callers wait for every exchange"
        );
        assert!(is_evicted(&mut limiter.register_unattended()));
    }

    #[tokio::test]
    async fn each_endpoint_has_one_limiter() {
        let limiters = EndpointLimiters::new(FakeClock::new());
        let limiter = |url: &str| limiters.limiter(&Url::parse(url).expect("a URL"));
        assert!(Arc::ptr_eq(
            &limiter("http://127.0.0.1:80/a"),
            &limiter("http://127.0.0.1/b?c")
        ));
        assert!(!Arc::ptr_eq(
            &limiter("http://127.0.0.1:80/a"),
            &limiter("http://127.0.0.1:81/a")
        ));
        let limiter = limiter("http://127.0.0.1");
        let held: Vec<_> = std::iter::from_fn(|| limiter.try_acquire_refresh_permit()).collect();
        assert_eq!(held.len(), MAX_BACKGROUND_REFRESHES);
        drop(held);
        assert!(limiter.try_acquire_refresh_permit().is_some());
    }
}
