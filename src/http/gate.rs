//! What all requests of this process to one endpoint share: a limit on connections, a smaller one
//! on refreshes behind callers, and the pause that a 429 asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Url;

/// Connections to one endpoint.
const CONNECTIONS: usize = 32;
/// Of these, for a probe only: whether somebody is there shows however many acquisitions are under way.
const PROBES: usize = 1;
/// Of these, refreshes behind callers: IMDS throttles more than five at a time.
const REFRESHES: usize = 5;
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The gates of all endpoints.
#[derive(Default)]
pub struct Gates {
    by_origin: Mutex<HashMap<String, Arc<Gate>>>,
}

impl Gates {
    /// The gate that every request to this address passes.
    pub fn gate(&self, url: &Url) -> Arc<Gate> {
        let origin = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or(0)
        );
        let mut gates = self.by_origin.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(origin).or_default().clone()
    }
}

/// What the requests to one endpoint share.
pub struct Gate {
    connections: Semaphore,
    probes: Semaphore,
    refreshes: Arc<Semaphore>,
    closed_until: Mutex<Option<Instant>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            connections: Semaphore::new(CONNECTIONS - PROBES),
            probes: Semaphore::new(PROBES),
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
            closed_until: Mutex::default(),
        }
    }
}

impl Gate {
    /// A place for one exchange; waits until one is free.
    pub async fn connection(&self) -> impl Drop {
        // The semaphore is never closed, so this cannot fail; without a permit nothing would break.
        Place(self.connections.acquire().await.ok())
    }

    /// A place for one probe: the first that is free, also of those that acquisitions leave alone.
    pub async fn probe(&self) -> impl Drop {
        Place(tokio::select! {
            biased;
            place = self.connections.acquire() => place.ok(),
            place = self.probes.acquire() => place.ok(),
        })
    }

    /// A place for one refresh behind a caller, if there is one now.
    pub fn refresh(&self) -> Option<OwnedSemaphorePermit> {
        self.refreshes.clone().try_acquire_owned().ok()
    }

    /// Closes the gate for as long as a 429 asked for, but at most a minute.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause.min(LONGEST_PAUSE);
        let mut closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |earlier| earlier.max(until)));
    }

    /// How long the gate stays closed.
    pub fn paused_for(&self) -> Option<Duration> {
        let closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        closed
            .map(|until| until.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero())
    }
}

/// A permit, of which only its end matters.
struct Place<'a>(Option<tokio::sync::SemaphorePermit<'a>>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_the_longest_asked_for_and_at_most_a_minute() {
        let gate = Gate::default();
        assert_eq!(gate.paused_for(), None);
        gate.pause(Duration::from_secs(20));
        gate.pause(Duration::from_secs(10));
        assert_eq!(gate.paused_for(), Some(Duration::from_secs(20)));
        gate.pause(Duration::from_hours(1));
        assert_eq!(gate.paused_for(), Some(LONGEST_PAUSE));
        tokio::time::advance(LONGEST_PAUSE).await;
        assert_eq!(gate.paused_for(), None);
    }

    #[tokio::test]
    async fn one_gate_per_endpoint_with_its_places() {
        let gates = Gates::default();
        let gate = |url: &str| gates.gate(&Url::parse(url).expect("a URL"));
        assert!(Arc::ptr_eq(
            &gate("http://127.0.0.1:80/a"),
            &gate("http://127.0.0.1/b?c")
        ));
        assert!(!Arc::ptr_eq(
            &gate("http://127.0.0.1:80/a"),
            &gate("http://127.0.0.1:81/a")
        ));
        let gate = gate("http://127.0.0.1");
        let held: Vec<_> = std::iter::from_fn(|| gate.refresh()).collect();
        assert_eq!(held.len(), REFRESHES);
        drop(held);
        assert!(gate.refresh().is_some());
    }
}
