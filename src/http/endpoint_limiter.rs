//! What all requests of this process to one endpoint share: a limit on connections, a smaller one
//! on background refreshes, one on exchanges that no caller waits for, and the pause that a 429 asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tokio::time::Instant;

use super::Url;
use crate::locking::lock;
use crate::platform::Clock;
use crate::token::Timestamp;

/// Connections to one endpoint.
const MAX_CONCURRENT_REQUESTS: usize = 32;
/// Of these, for a probe only: whether somebody is there shows however many acquisitions are under way.
const RESERVED_PROBES: usize = 1;
/// Of these, refreshes behind callers: IMDS throttles more than five at a time.
const MAX_BACKGROUND_REFRESHES: usize = 5;
/// Exchanges to one endpoint that go on although no caller waits for them.
const MAX_UNATTENDED: usize = 32;
/// No pause is longer.
const MAX_RETRY_AFTER_BLOCK: Duration = Duration::from_mins(1);

/// The gates of all endpoints.
pub struct EndpointLimiters {
    by_origin: Mutex<HashMap<String, Arc<EndpointLimiter>>>,
    clock: Arc<dyn Clock>,
}

impl EndpointLimiters {
    /// Without any endpoint; pauses end by Tokio's clock or by this one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            by_origin: Mutex::default(),
            clock,
        }
    }

    /// The gate that every request to this address passes.
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

/// What the requests to one endpoint share.
pub struct EndpointLimiter {
    requests: Semaphore,
    probes: Semaphore,
    refreshes: Arc<Semaphore>,
    unattended: Mutex<UnattendedExchanges>,
    blocked_until: Mutex<Option<(Instant, Timestamp)>>,
    clock: Arc<dyn Clock>,
}

impl EndpointLimiter {
    /// Open, and with all its places free.
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

    /// A place for one exchange; waits until one is free.
    pub async fn acquire_request_permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so this cannot fail; without a permit nothing would break.
        self.requests.acquire().await.ok()
    }

    /// A place for one probe: the first that is free, also of those that acquisitions leave alone.
    pub async fn acquire_probe_permit(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            permit = self.requests.acquire() => permit.ok(),
            permit = self.probes.acquire() => permit.ok(),
        }
    }

    /// A place for one refresh behind a caller, if there is one now.
    pub fn try_acquire_refresh_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.refreshes.clone().try_acquire_owned().ok()
    }

    /// Lets an exchange that no caller waits for go on without a place, until there are too many of them.
    pub fn register_unattended(&self) -> UnattendedExchange<'_> {
        let (end, ended) = oneshot::channel();
        let number = lock(&self.unattended).add(end);
        UnattendedExchange {
            limiter: self,
            number,
            ended,
        }
    }

    /// Closes the gate for as long as a 429 asked for, but at most a minute.
    pub fn block_for(&self, pause: Duration) {
        let pause = pause.min(MAX_RETRY_AFTER_BLOCK);
        if self.blocked_for().is_none_or(|left| left < pause) {
            *lock(&self.blocked_until) =
                Some((Instant::now() + pause, self.clock.now().saturating_add(pause)));
        }
    }

    /// How long the gate stays closed: to the end of the pause by either clock, since one of them may have stood still.
    pub fn blocked_for(&self) -> Option<Duration> {
        let (until, until_wall) = (*lock(&self.blocked_until))?;
        let left = until.saturating_duration_since(Instant::now());
        Some(left.min(until_wall.saturating_duration_since(self.clock.now()))).filter(|left| !left.is_zero())
    }
}

/// The exchanges of one endpoint that have gone on without a place, in the order in which their last callers left.
#[derive(Default)]
struct UnattendedExchanges {
    last: u64,
    exchanges: Vec<Entry>,
}

struct Entry {
    number: u64,
    /// Whether callers have come back to it.
    is_attended: bool,
    end: oneshot::Sender<()>,
}

impl UnattendedExchanges {
    fn add(&mut self, end: oneshot::Sender<()>) -> u64 {
        self.last += 1;
        self.push(Entry {
            number: self.last,
            is_attended: false,
            end,
        });
        self.last
    }

    /// Beyond the limit the oldest ends, unless callers have come back to it.
    fn push(&mut self, entry: Entry) {
        self.exchanges.push(entry);
        let oldest = self.exchanges.iter().position(|entry| !entry.is_attended);
        if self.exchanges.len() > MAX_UNATTENDED
            && let Some(oldest) = oldest
        {
            // Without a receiver it has ended by itself.
            let _ = self.exchanges.remove(oldest).end.send(());
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let index = self.exchanges.iter().position(|entry| entry.number == number)?;
        Some(self.exchanges.remove(index))
    }
}

/// An exchange that has gone on without a place.
pub struct UnattendedExchange<'a> {
    limiter: &'a EndpointLimiter,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl UnattendedExchange<'_> {
    /// Notes whether callers wait for it again.
    pub fn set_attended(&self, is_attended: bool) {
        let mut exchanges = lock(&self.limiter.unattended);
        if let Some(entry) = exchanges.remove(self.number) {
            exchanges.push(Entry { is_attended, ..entry });
        }
    }

    /// Waits until it has to make way for later ones.
    pub async fn must_end(&mut self) {
        // Where the other half is gone without a word, it has been told before.
        let _ = (&mut self.ended).await;
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
        // A pause that has ended by one clock is none that a later one has to outlast.
        limiter.block_for(Duration::from_secs(10));
        assert_eq!(limiter.blocked_for(), Some(Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn block_ends_by_monotonic_clock_if_wall_clock_is_set_back() {
        let clock = FakeClock::new();
        let limiter = EndpointLimiter::new(clock.clone());
        clock.jump(Duration::from_hours(1));
        limiter.block_for(Duration::from_secs(50));
        clock.put_back(Duration::from_hours(1));
        assert_eq!(limiter.blocked_for(), Some(Duration::from_secs(50)));
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(limiter.blocked_for(), None);
    }

    fn has_to_end(exchange: &mut UnattendedExchange<'_>) -> bool {
        exchange.ended.try_recv().is_ok()
    }

    #[tokio::test]
    async fn oldest_unattended_request_ends_beyond_the_limit() {
        let limiter = EndpointLimiter::new(FakeClock::new());
        let mut exchanges: Vec<_> = (0..MAX_UNATTENDED)
            .map(|_| limiter.register_unattended())
            .collect();
        assert!(!exchanges.iter_mut().any(has_to_end));
        // One to which callers have come back stays; one that they have left again is the youngest.
        exchanges[0].set_attended(true);
        exchanges[1].set_attended(true);
        exchanges[1].set_attended(false);
        exchanges.push(limiter.register_unattended());
        let ended: Vec<_> = exchanges.iter_mut().map(has_to_end).collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(2));
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        // Whatever ends by itself makes way too.
        exchanges.remove(3);
        exchanges.push(limiter.register_unattended());
        assert!(!exchanges[3..].iter_mut().any(has_to_end));
        for exchange in &exchanges {
            exchange.set_attended(true);
        }
        assert!(
            !exchanges.iter_mut().any(has_to_end),
            "callers wait for all of them"
        );
        assert!(has_to_end(&mut limiter.register_unattended()));
    }

    #[tokio::test]
    async fn each_endpoint_has_one_limiter() {
        let gates = EndpointLimiters::new(FakeClock::new());
        let limiter = |url: &str| gates.limiter(&Url::parse(url).expect("a URL"));
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
