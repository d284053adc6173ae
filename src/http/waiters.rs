//! The callers that wait for the outcome of a retry loop. When the last one has left, nothing new is started.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The number of waiting callers.
#[derive(Debug)]
pub struct Waiters {
    count: AtomicUsize,
    /// Notified when the first caller has joined or the last one has left.
    changed: Notify,
    /// For a background refresh: until when the retry loop continues without a caller.
    background_until: Option<Instant>,
}

impl Waiters {
    /// Starts without callers. A background refresh continues without any until `background_until`.
    pub fn new(background_until: Option<Instant>) -> Self {
        Self {
            count: AtomicUsize::new(0),
            changed: Notify::new(),
            background_until,
        }
    }

    /// Adds a caller.
    pub fn join(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) == 0 {
            self.changed.notify_waiters();
        }
    }

    /// Removes a caller.
    pub fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify_waiters();
        }
    }

    /// Returns whether the retry loop has no reason to continue: without a caller and not in the background.
    pub fn is_abandoned(&self) -> bool {
        self.count() == 0 && !self.is_background()
    }

    /// Waits until the retry loop has no reason to continue: the time of a background refresh is over, and the last
    /// caller has left.
    pub async fn abandoned(&self) {
        if let Some(until) = self.background_until {
            // Not a sleep, which ends at once in shuttle's runtime (concurrency-tests).
            let _ = timeout_at(until, pending::<()>()).await;
        }
        self.wait_for(|count| count == 0).await;
    }

    /// Waits until there is a caller.
    pub async fn joined(&self) {
        self.wait_for(|count| count > 0).await;
    }

    /// Awaits a future; `None` if the retry loop has no reason to continue before the future is ready.
    pub async fn run_until_abandoned<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.abandoned() => None,
            output = future => Some(output),
        }
    }

    async fn wait_for(&self, condition: impl Fn(usize) -> bool) {
        loop {
            // Created before the count is read, so that no later change is missed.
            let changed = self.changed.notified();
            if condition(self.count()) {
                return;
            }
            changed.await;
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn is_background(&self) -> bool {
        self.background_until.is_some_and(|until| until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn wait_ends_when_the_last_waiter_leaves() {
        let started = Instant::now();
        let waiters = Waiters::new(None);
        assert!(waiters.is_abandoned());
        waiters.join();
        waiters.join();
        assert_eq!(waiters.run_until_abandoned(sleep(SECOND)).await, Some(()));
        waiters.leave();
        assert!(!waiters.is_abandoned());
        let leaving = async {
            sleep(SECOND).await;
            waiters.leave();
        };
        let (waited, ()) = tokio::join!(waiters.run_until_abandoned(sleep(SECOND * 9)), leaving);
        assert_eq!((waited, started.elapsed()), (None, SECOND * 2));
        assert!(waiters.is_abandoned());
    }

    #[tokio::test(start_paused = true)]
    async fn background_refresh_continues_until_its_timeout() {
        let started = Instant::now();
        let waiters = Waiters::new(Some(started + SECOND * 5));
        assert!(!waiters.is_abandoned());
        waiters.join();
        waiters.leave();
        assert_eq!(waiters.run_until_abandoned(sleep(SECOND * 9)).await, None);
        assert_eq!(started.elapsed(), SECOND * 5);
        // A caller that joins before the end keeps it running.
        let waiters = Waiters::new(Some(Instant::now() + SECOND));
        let joining = async {
            sleep(SECOND / 2).await;
            waiters.join();
        };
        let (waited, ()) = tokio::join!(waiters.run_until_abandoned(sleep(SECOND * 9)), joining);
        assert_eq!(waited, Some(()));
    }
}
